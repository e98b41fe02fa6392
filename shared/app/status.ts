import { z } from 'zod'
import type { App } from '../app.ts'
import { changesReportSchema, reportChanges } from '../changes/poll-state.ts'
import { resources } from '../changes/resources/index.ts'
import { reportStream, streamReportSchema } from '../events/feed/read.ts'
import { deliveryReportSchema, reportDeliveries } from '../events/subscriptions/view.ts'
import { exportsReportSchema, reportExports } from '../exports/view.ts'
import type { Budget } from '../platform/budget.ts'
import { storageProblem } from '../platform/error-responses.ts'
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
  toNotice,
  tryLoad,
  upstreamProblems,
} from './problems.ts'
import { VERSION } from './sections/base.ts'
import { streams } from './sections/events.ts'

export interface StatusDeps extends Traced {
  app: App
}

const sectionSchema = z.strictObject({
  state: z.enum(['ok', 'unconfigured', 'degraded']),
  problems: z.array(problemSchema),
})
const budgetSchema = z.strictObject({
  minuteLeft: z.int().nullable(),
  hourLeft: z.int().nullable(),
  stoppedUntil: z.string().nullable(),
})

/** Null while the upstream is not set up. */
const upstreamSchema = upstreamReportSchema
  .extend({ budgets: z.record(z.string(), budgetSchema) })
  .nullable()

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
  deliveries: deliveryReportSchema.nullable(),
  avHealth: exportsReportSchema.nullable(),
  tickets: z.record(z.string(), z.int()).nullable().describe('Valid tickets by kind.'),
  notices: z.array(problemSchema).describe('What will happen; nothing is wrong yet.'),
  preflight: preflightSchema.optional(),
})

/** What an operator needs to know and to do; always 200. */
export const status = defineRoute<StatusDeps>()({
  name: 'status',
  method: 'GET',
  path: 'status',
  summary: 'The status of every flow, and what to fix',
  mcp: 'What is wrong in the app and what to do, what each flow did last and does next. It says nothing about single devices. preflight=true makes calls to the upstreams.',
  query: z.strictObject({
    preflight: z
      .enum(['true', 'false'])
      .optional()
      .describe('true: calls every upstream to check whether each flow can run.'),
  }),
  answers: { 200: { description: 'The status.', body: statusSchema } },
  async handle({ query }, deps) {
    const now = deps.app.clock.now()
    // First, since the rest of the status shows its result.
    const checks =
      query.preflight === 'true'
        ? await deps.app.joinChecks('preflight', () => preflight(deps.app))
        : undefined
    const defender = await tryLoad(() => upstreamReport(deps.app.defender))
    const tenable = await tryLoad(() => upstreamReport(deps.app.tenable))
    const scanHistory = await tryLoad(deps.app.scanHistory)
    const changes = await tryLoad(() => changesReports(deps, now))
    const events = await tryLoad(() => eventsReport(deps, now))
    const avHealth = await tryLoad(() => avHealthReport(deps, now))
    const tickets = await tryLoad(async () => (await deps.app.base()).tickets.report())
    const { value: flows } = await tryLoad(() => flowProblems(deps.app))
    const { value: ends } = await tryLoad(() => comingEnds(deps.app))
    const tenableProblems = tenable.value ? upstreamProblems('Tenable', tenable.value) : []
    // Without any key Tenable is off; with only one of its settings it is a mistake.
    const tenableMistakes =
      tenable.missing && !deps.app.isTenableOff ? settingProblems(tenable.missing) : []
    const sections = {
      changes: section(changes, [
        ...(flows?.changes ?? []),
        ...(changes.value ? pollProblems(changes.value, now) : []),
        ...(events.value ? deliveryProblems(events.value.deliveries) : []),
      ]),
      // Each source works without the other.
      scanHistory: section(
        {
          ...scanHistory,
          missing: scanHistory.missing ?? (tenable.value ? null : defender.missing),
        },
        [
          ...(defender.missing ? settingProblems(defender.missing) : (flows?.scanHistory ?? [])),
          ...tenableMistakes,
          ...tenableProblems,
        ],
      ),
      avHealth: section(avHealth, [
        ...(flows?.avHealth ?? []),
        ...runProblems(avHealth.value, now),
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
        tickets: tickets.value,
        notices: (ends ?? []).map(toNotice),
        preflight: checks,
      } satisfies z.infer<typeof statusSchema>,
    }
  },
})

async function upstreamReport<F extends string>(
  open: () => Promise<{ health: UpstreamHealth; budget: Budget<F> }>,
) {
  const { health, budget } = await open()
  const [report, budgets] = await Promise.all([health.report(), budget.report()])
  return { ...report, budgets }
}

async function changesReports({ app, ...traced }: StatusDeps, now: Date) {
  const { context: pollContext, scheduleFor } = await app.changes()
  const reports = resources.map(
    async ({ name }) =>
      [
        name,
        await reportChanges(pollContext(name, traced), nextRun(scheduleFor(name), now)),
      ] as const,
  )
  return Object.fromEntries(await Promise.all(reports))
}

async function eventsReport({ app, ...traced }: StatusDeps, now: Date) {
  const { feed, events } = await app.events()
  const reports = streams.map(async (name) => [name, await reportStream(feed, name, now)] as const)
  return {
    events: Object.fromEntries(await Promise.all(reports)),
    deliveries: await reportDeliveries(events(traced)),
  }
}

async function avHealthReport({ app, ...traced }: StatusDeps, now: Date) {
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
