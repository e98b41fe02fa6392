import { z } from 'zod'
import type { App } from '../app.ts'
import { changesReportSchema, reportChanges } from '../changes/poll-state.ts'
import { resourceNames } from '../changes/resources/index.ts'
import { reportStream, streamReportSchema } from '../events/feed/read.ts'
import { reportDeliveries } from '../events/subscriptions/view.ts'
import { exportsReportSchema, reportExports } from '../exports/view.ts'
import type { Budget } from '../platform/budget.ts'
import type { Traced } from '../platform/log.ts'
import { defineRoute } from '../platform/route.ts'
import { nextRun } from '../platform/schedule.ts'
import { type UpstreamWatch, upstreamReportSchema } from '../platform/upstream-health.ts'
import { preflightSchema } from './flows.ts'
import { preflight } from './preflight.ts'
import {
  comingEnds,
  deliveryProblems,
  flowProblems,
  type Part,
  type Problem,
  pollProblems,
  problemSchema,
  runProblems,
  settingProblems,
  storageProblem,
  toNotice,
  upstreamProblems,
  usable,
} from './problems.ts'
import { VERSION } from './sections/base.ts'
import { streams } from './sections/events.ts'

/** What the status works with. */
export interface StatusParts extends Traced {
  app: App
}

const route = defineRoute<StatusParts>()

const sectionSchema = z.strictObject({
  state: z.enum(['ok', 'unconfigured', 'degraded']),
  problems: z.array(problemSchema),
})
const budgetSchema = z.strictObject({
  minuteLeft: z.int().nullable(),
  hourLeft: z.int().nullable(),
  stoppedUntil: z.string().nullable(),
})

/** Null while it is not set up. */
const upstreamSchema = upstreamReportSchema
  .extend({ budgets: z.record(z.string(), budgetSchema) })
  .nullable()

const deliveriesSchema = z.strictObject({
  owed: z.int(),
  dead: z.int(),
  oldestOwedAt: z.string().nullable(),
  failing: z.array(
    z.strictObject({ id: z.string(), callbackHost: z.string(), since: z.string().nullable() }),
  ),
  disabled: z.array(
    z.strictObject({ id: z.string(), callbackHost: z.string(), reason: z.string().nullable() }),
  ),
})

const statusSchema = z.strictObject({
  version: z.string(),
  time: z.string(),
  overall: z.enum(['ok', 'degraded', 'stopped']),
  sections: z.strictObject({
    changes: sectionSchema,
    scanHistory: sectionSchema,
    avHealth: sectionSchema,
  }),
  upstreams: z.strictObject({ defender: upstreamSchema, tenable: upstreamSchema }),
  changes: z.record(z.string(), changesReportSchema).nullable(),
  events: z.record(z.string(), streamReportSchema).nullable(),
  deliveries: deliveriesSchema.nullable(),
  avHealth: exportsReportSchema.nullable(),
  notices: z.array(problemSchema).describe('What lies ahead; nothing is wrong yet.'),
  preflight: preflightSchema.optional(),
})

/** What an operator needs to know, and what to do about it; always 200. */
export const status = route({
  name: 'status',
  method: 'GET',
  path: 'status',
  summary: 'How every flow fares, and what is left to do',
  query: z.strictObject({
    preflight: z
      .enum(['true', 'false'])
      .optional()
      .describe('true: asks every upstream whether each flow can run.'),
  }),
  answers: { 200: { description: 'The status.', body: statusSchema } },
  async handle({ query }, parts) {
    const now = parts.app.clock.now()
    // First: what it shows is told below.
    const looks =
      query.preflight === 'true'
        ? await parts.app.joinLook('preflight', () => preflight(parts.app))
        : undefined
    const defender = await usable(() => upstreamPart(parts.app.defender))
    const tenable = await usable(() => upstreamPart(parts.app.tenable))
    const scanHistory = await usable(parts.app.scanHistory)
    const changes = await usable(() => changesPart(parts, now))
    const events = await usable(() => eventsPart(parts, now))
    const avHealth = await usable(() => avHealthPart(parts, now))
    const { part: flows } = await usable(() => flowProblems(parts.app))
    const { part: ends } = await usable(() => comingEnds(parts.app))
    const tenableTrouble = tenable.part ? upstreamProblems('Tenable', tenable.part) : []
    // Whoever has set up no key does without it; one that is half set up is a mistake.
    const tenableMistakes =
      tenable.missing && !parts.app.isTenableOff ? settingProblems(tenable.missing) : []
    const sections = {
      changes: section(changes, [
        ...(flows?.changes ?? []),
        ...(changes.part ? pollProblems(changes.part, now) : []),
        ...(events.part ? deliveryProblems(events.part.deliveries) : []),
      ]),
      // One source does without the other.
      scanHistory: section(
        {
          ...scanHistory,
          missing: scanHistory.missing ?? (tenable.part ? null : defender.missing),
        },
        [
          ...(defender.missing ? settingProblems(defender.missing) : (flows?.scanHistory ?? [])),
          ...tenableMistakes,
          ...tenableTrouble,
        ],
      ),
      avHealth: section(avHealth, [
        ...(flows?.avHealth ?? []),
        ...runProblems(avHealth.part?.lastRun ?? null),
      ]),
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
        version: VERSION,
        time: now.toISOString(),
        overall,
        sections,
        upstreams: { defender: defender.part, tenable: tenable.part },
        changes: changes.part,
        events: events.part?.events ?? null,
        deliveries: events.part?.deliveries ?? null,
        avHealth: avHealth.part,
        notices: (ends ?? []).map(toNotice),
        ...(looks && { preflight: looks }),
      } satisfies z.infer<typeof statusSchema>,
    }
  },
})

async function upstreamPart<F extends string>(
  open: () => Promise<{ watch: UpstreamWatch; budget: Budget<F> }>,
) {
  const { watch, budget } = await open()
  const [report, budgets] = await Promise.all([watch.report(), budget.report()])
  return { ...report, budgets }
}

async function changesPart({ app, ...traced }: StatusParts, now: Date) {
  const { watch, schedules } = await app.changes()
  const reports = resourceNames.map(
    async (name) =>
      [name, await reportChanges(watch(name, traced), nextRun(schedules[name], now))] as const,
  )
  return Object.fromEntries(await Promise.all(reports))
}

async function eventsPart({ app, ...traced }: StatusParts, now: Date) {
  const { feed, events } = await app.events()
  const places = streams.map(async (name) => [name, await reportStream(feed, name, now)] as const)
  return {
    events: Object.fromEntries(await Promise.all(places)),
    deliveries: await reportDeliveries(events(traced)),
  }
}

async function avHealthPart({ app, ...traced }: StatusParts, now: Date) {
  const { engine, schedule } = await app.avHealth()
  return reportExports(engine(traced), nextRun(schedule, now))
}

function section(
  { missing, isStorageDown }: Part<unknown>,
  problems: Problem[],
): z.infer<typeof sectionSchema> {
  if (missing) return { state: 'unconfigured', problems: settingProblems(missing) }
  const all = isStorageDown ? [storageProblem] : problems
  return { state: all.length > 0 ? 'degraded' : 'ok', problems: all }
}
