import { z } from 'zod'
import type { App } from '../app.ts'
import { changesReportSchema } from '../changes/poll-state.ts'
import { streamReportSchema } from '../events/feed/read.ts'
import { deliveryReportSchema } from '../events/subscriptions/view.ts'
import { exportsReportSchema } from '../exports/view.ts'
import type { ConfigError } from '../platform/errors.ts'
import type { Traced } from '../platform/log.ts'
import { defineRoute } from '../platform/route.ts'
import { upstreamReportSchema } from '../platform/upstream-health.ts'
import { loadFacts } from './facts.ts'
import { preflightSchema } from './flows.ts'
import { preflight } from './preflight.ts'
import {
  type FoundProblem,
  type Problem,
  problemSchema,
  type SectionName,
} from './problem-codes.ts'
import { findProblems } from './problems.ts'
import { VERSION } from './sections/base.ts'

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

export const statusSchema = z.strictObject({
  version: z.string(),
  time: z.string(),
  overall: z
    .enum(['ok', 'degraded', 'stopped'])
    .describe('degraded: an error or a warning. stopped: no section is set up.'),
  problems: z
    .array(problemSchema)
    .describe('Errors and warnings, each once. A section names those that concern it.'),
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
  notices: z.array(problemSchema).describe('What is good to know; nothing is wrong.'),
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
    const { app } = deps
    // First, since the rest of the status shows its result.
    const checks =
      query.preflight === 'true'
        ? await app.joinChecks('preflight', () => preflight(app))
        : undefined
    const facts = await loadFacts(app, deps)
    const { now, defender, tenable, scanHistory, changes, events, avHealth, tickets } = facts
    const found = findProblems(facts, app)
    const problems = found.filter(({ severity }) => severity !== 'notice')
    const section = (name: SectionName, missing: ConfigError | null) => {
      const own = problems.filter(({ sections }) => sections.includes(name)).map(toProblem)
      const state = missing ? 'unconfigured' : own.length > 0 ? 'degraded' : 'ok'
      return { state, problems: own } as const
    }
    const sections = {
      changes: section('changes', changes.missing),
      // Each source works without the other.
      scanHistory: section(
        'scanHistory',
        scanHistory.missing ?? (tenable.value ? null : defender.missing),
      ),
      avHealth: section('avHealth', avHealth.missing),
    }
    const isStopped = Object.values(sections).every(({ state }) => state === 'unconfigured')
    return {
      status: 200,
      body: {
        version: VERSION,
        time: now.toISOString(),
        overall: isStopped ? 'stopped' : problems.length > 0 ? 'degraded' : 'ok',
        problems: problems.map(toProblem),
        sections,
        upstreams: {
          defender: defender.value?.report ?? null,
          tenable: tenable.value?.report ?? null,
        },
        changes: changes.value?.reports ?? null,
        events: events.value?.streams ?? null,
        deliveries: events.value?.deliveries ?? null,
        avHealth: avHealth.value?.report ?? null,
        tickets: tickets.value,
        notices: found.filter(({ severity }) => severity === 'notice').map(toProblem),
        preflight: checks,
      } satisfies z.infer<typeof statusSchema>,
    }
  },
})

const toProblem = ({ sections: _sections, ...problem }: FoundProblem): Problem => problem
