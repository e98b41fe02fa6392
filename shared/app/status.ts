import { z } from 'zod'
import type { App } from '../app.ts'
import { exportsReportSchema, reportExports } from '../av-health/report-exports.ts'
import { changesReportSchema, reportChanges } from '../changes/report-changes.ts'
import { resourceNames } from '../changes/resources/index.ts'
import { reportDeliveries } from '../events/count-deliveries.ts'
import { reportStream, streamReportSchema } from '../events/report-streams.ts'
import { isStorageFailure } from '../platform/azure-table.ts'
import { ConfigError } from '../platform/errors.ts'
import type { Log } from '../platform/log.ts'
import { defineRoute } from '../platform/route.ts'
import { nextRun } from '../platform/schedule.ts'
import { upstreamReportSchema } from '../platform/upstream-watch.ts'
import { streams } from './events-section.ts'
import {
  changeProblems,
  type Problem,
  problemSchema,
  runProblems,
  settingProblems,
  storageProblem,
  upstreamProblems,
} from './problems.ts'
import { VERSION } from './version.ts'

/** What the status works with. */
export interface StatusParts {
  app: App
  log: Log
}

const route = defineRoute<StatusParts>()
const healthSchema = z.strictObject({ status: z.enum(['ok', 'unconfigured']) })

/** Whether the app can do anything at all; no detail and no I/O, since anybody may ask. */
export const health = route({
  name: 'health',
  method: 'GET',
  path: 'health',
  auth: 'anonymous',
  summary: 'Whether the app is up',
  answers: {
    200: { description: 'At least one section is usable.', body: healthSchema },
    503: { description: 'No section is set up.', body: healthSchema },
  },
  async handle(_input, { app }) {
    const usable = app.isConfigured()
    return { status: usable ? 200 : 503, body: { status: usable ? 'ok' : 'unconfigured' } }
  },
})

const sectionSchema = z.strictObject({
  state: z.enum(['ok', 'unconfigured', 'degraded']),
  problems: z.array(problemSchema),
})
const budgetSchema = z.strictObject({ minuteLeft: z.int(), hourLeft: z.int(), stoppedUntil: z.string().nullable() })

const deliveriesSchema = z.strictObject({
  owed: z.int(),
  dead: z.int(),
  oldestOwedAt: z.string().nullable(),
  failing: z.array(z.strictObject({ id: z.string(), callbackHost: z.string(), since: z.string().nullable() })),
  disabled: z.array(z.strictObject({ id: z.string(), callbackHost: z.string(), reason: z.string().nullable() })),
})

const statusSchema = z.strictObject({
  version: z.string(),
  time: z.string(),
  overall: z.enum(['ok', 'degraded', 'stopped']),
  sections: z.strictObject({ changes: sectionSchema, avHealth: sectionSchema }),
  upstreams: z.strictObject({
    defender: upstreamReportSchema.extend({ budgets: z.record(z.string(), budgetSchema) }).nullable(),
  }),
  changes: z.record(z.string(), changesReportSchema).nullable(),
  events: z.record(z.string(), streamReportSchema).nullable(),
  deliveries: deliveriesSchema.nullable(),
  avHealth: exportsReportSchema.nullable(),
})

/** What an operator needs to know, and what to do about it; always 200. */
export const status = route({
  name: 'status',
  method: 'GET',
  path: 'status',
  summary: 'How every flow fares, and what is left to do',
  answers: { 200: { description: 'The status.', body: statusSchema } },
  async handle(_input, parts) {
    const now = parts.app.clock.now()
    const defender = await usable(() => upstreamPart(parts))
    const changes = await usable(() => changesPart(parts, now))
    const avHealth = await usable(() => avHealthPart(parts, now))
    const upstreamTrouble = defender.part ? upstreamProblems(defender.part) : []
    const sections = {
      changes: section(changes, [...upstreamTrouble, ...(changes.part ? changeProblems(changes.part, now) : [])]),
      avHealth: section(avHealth, [...upstreamTrouble, ...runProblems(avHealth.part?.lastRun ?? null)]),
    }
    const states = Object.values(sections).map(({ state }) => state)
    const overall = states.every((state) => state === 'ok')
      ? 'ok'
      : states.every((state) => state === 'unconfigured')
        ? 'stopped'
        : 'degraded'
    return {
      status: 200,
      body: {
        ...{ version: VERSION, time: now.toISOString(), overall, sections },
        upstreams: { defender: defender.part },
        changes: changes.part?.changes ?? null,
        events: changes.part?.events ?? null,
        deliveries: changes.part?.deliveries ?? null,
        avHealth: avHealth.part,
      } satisfies z.infer<typeof statusSchema>,
    }
  },
})

async function upstreamPart({ app }: StatusParts) {
  const { watch, budget } = await app.defender()
  const [report, budgets] = await Promise.all([watch.report(), budget.report()])
  return { ...report, budgets }
}

async function changesPart({ app, log }: StatusParts, now: Date) {
  const [{ watch, schedules }, { feed, events }] = await Promise.all([app.changes(), app.events()])
  const reports = resourceNames.map(
    async (name) => [name, await reportChanges(watch(name, log), nextRun(schedules[name], now))] as const,
  )
  const places = streams.map(async (name) => [name, await reportStream(feed, name, now)] as const)
  return {
    changes: Object.fromEntries(await Promise.all(reports)),
    events: Object.fromEntries(await Promise.all(places)),
    deliveries: await reportDeliveries(events(log)),
  }
}

async function avHealthPart({ app, log }: StatusParts, now: Date) {
  const { engine, schedule } = await app.avHealth()
  return reportExports(engine(log), nextRun(schedule, now))
}

interface Part<T> {
  part: T | null
  missing: ConfigError | null
  /** The data account did not answer. */
  isStorageDown: boolean
}

/** The part, or why there is none: the status answers also when nothing else does. */
async function usable<T>(make: () => Promise<T>): Promise<Part<T>> {
  try {
    return { part: await make(), missing: null, isStorageDown: false }
  } catch (error) {
    if (error instanceof ConfigError) return { part: null, missing: error, isStorageDown: false }
    if (isStorageFailure(error)) return { part: null, missing: null, isStorageDown: true }
    throw error
  }
}

function section({ missing, isStorageDown }: Part<unknown>, problems: Problem[]): z.infer<typeof sectionSchema> {
  if (missing) return { state: 'unconfigured', problems: settingProblems(missing) }
  const all = isStorageDown ? [storageProblem] : problems
  return { state: all.length > 0 ? 'degraded' : 'ok', problems: all }
}
