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
import { type UpstreamHealth, upstreamReportSchema } from '../platform/upstream-health.ts'
import { preflightSchema } from './flows.ts'
import { preflight } from './preflight.ts'
import {
  comingEnds,
  deliveryProblems,
  flowProblems,
  type Loaded,
  type Problem,
  pollProblems,
  problemSchema,
  runProblems,
  settingProblems,
  storageProblem,
  toNotice,
  tryLoad,
  upstreamProblems,
} from './problems.ts'
import { VERSION } from './sections/base.ts'
import { streams } from './sections/events.ts'

/** What the status works with. */
export interface StatusDeps extends Traced {
  app: App
}

const route = defineRoute<StatusDeps>()

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
  pending: z.int(),
  dead: z.int(),
  oldestPendingAt: z.string().nullable(),
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
  async handle({ query }, deps) {
    const now = deps.app.clock.now()
    // First: what it shows is told below.
    const checks =
      query.preflight === 'true'
        ? await deps.app.joinChecks('preflight', () => preflight(deps.app))
        : undefined
    const defender = await tryLoad(() => upstreamPart(deps.app.defender))
    const tenable = await tryLoad(() => upstreamPart(deps.app.tenable))
    const scanHistory = await tryLoad(deps.app.scanHistory)
    const changes = await tryLoad(() => changesPart(deps, now))
    const events = await tryLoad(() => eventsPart(deps, now))
    const avHealth = await tryLoad(() => avHealthPart(deps, now))
    const { value: flows } = await tryLoad(() => flowProblems(deps.app))
    const { value: ends } = await tryLoad(() => comingEnds(deps.app))
    const tenableTrouble = tenable.value ? upstreamProblems('Tenable', tenable.value) : []
    // Whoever has set up no key does without it; one that is half set up is a mistake.
    const tenableMistakes =
      tenable.missing && !deps.app.isTenableOff ? settingProblems(tenable.missing) : []
    const sections = {
      changes: section(changes, [
        ...(flows?.changes ?? []),
        ...(changes.value ? pollProblems(changes.value, now) : []),
        ...(events.value ? deliveryProblems(events.value.deliveries) : []),
      ]),
      // One source does without the other.
      scanHistory: section(
        {
          ...scanHistory,
          missing: scanHistory.missing ?? (tenable.value ? null : defender.missing),
        },
        [
          ...(defender.missing ? settingProblems(defender.missing) : (flows?.scanHistory ?? [])),
          ...tenableMistakes,
          ...tenableTrouble,
        ],
      ),
      avHealth: section(avHealth, [
        ...(flows?.avHealth ?? []),
        ...runProblems(avHealth.value?.lastRun ?? null),
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
        upstreams: { defender: defender.value, tenable: tenable.value },
        changes: changes.value,
        events: events.value?.events ?? null,
        deliveries: events.value?.deliveries ?? null,
        avHealth: avHealth.value,
        notices: (ends ?? []).map(toNotice),
        ...(checks && { preflight: checks }),
      } satisfies z.infer<typeof statusSchema>,
    }
  },
})

async function upstreamPart<F extends string>(
  open: () => Promise<{ health: UpstreamHealth; budget: Budget<F> }>,
) {
  const { health, budget } = await open()
  const [report, budgets] = await Promise.all([health.report(), budget.report()])
  return { ...report, budgets }
}

async function changesPart({ app, ...traced }: StatusDeps, now: Date) {
  const { context: pollContext, schedules } = await app.changes()
  const reports = resourceNames.map(
    async (name) =>
      [
        name,
        await reportChanges(pollContext(name, traced), nextRun(schedules[name], now)),
      ] as const,
  )
  return Object.fromEntries(await Promise.all(reports))
}

async function eventsPart({ app, ...traced }: StatusDeps, now: Date) {
  const { feed, events } = await app.events()
  const places = streams.map(async (name) => [name, await reportStream(feed, name, now)] as const)
  return {
    events: Object.fromEntries(await Promise.all(places)),
    deliveries: await reportDeliveries(events(traced)),
  }
}

async function avHealthPart({ app, ...traced }: StatusDeps, now: Date) {
  const { engine, schedule } = await app.avHealth()
  return reportExports(engine(traced), nextRun(schedule, now))
}

function section(
  { missing, isStorageDown }: Loaded<unknown>,
  problems: Problem[],
): z.infer<typeof sectionSchema> {
  if (missing) return { state: 'unconfigured', problems: settingProblems(missing) }
  const all = isStorageDown ? [storageProblem] : problems
  return { state: all.length > 0 ? 'degraded' : 'ok', problems: all }
}
