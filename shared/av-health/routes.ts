import { z } from 'zod'
import { createExportRoutes, type ExportDeps } from '../exports/routes.ts'
import { momentSchema, timeSchema, toTime } from '../platform/request.ts'
import { defineRoute } from '../platform/route.ts'
import { AV_HEALTH } from './export.ts'
import { changePosition, createHistory, dimensions } from './history.ts'
import { transitionKinds } from './transitions.ts'

const route = defineRoute<ExportDeps>()
const nullable = z.string().nullable()
const values = z.record(z.string(), z.unknown())
const numbers = z.record(z.string(), z.int())

const kindFilter = z
  .string()
  .max(600)
  .refine(
    (sent) => sent.split(',').every((kind) => transitionKinds.some((one) => one === kind)),
    `must be of ${transitionKinds.join(', ')}, separated by commas`,
  )
  .optional()
  .describe('One or several, with commas.')

const listChanges = route({
  name: 'list-av-health-changes',
  method: 'GET',
  path: 'av-health/changes',
  summary: 'What changed between snapshots: the newest snapshot first, in it by device',
  mcp: 'What changed on devices between snapshots, newest first. It does not tell when in between, and not why.',
  query: z.strictObject({
    since: momentSchema
      .optional()
      .describe('Snapshots generated at this time or later, or so long ago: `1d`. Default: all.'),
    until: momentSchema.optional().describe('Snapshots generated before this time.'),
    kind: kindFilter,
  }),
  answers: { 200: { description: 'A page; one that is empty may have a `next`.' } },
  list: {
    name: 'av-health-changes',
    member: 'changes',
    of: z.strictObject({
      at: z.string(),
      runId: z.string(),
      machineId: z.string(),
      computerDnsName: nullable,
      kind: z.string(),
      from: values,
      to: values,
    }),
    position: changePosition,
    more: {
      isKnown: z.boolean().describe('False when no snapshot of this time was compared.'),
      scanned: z.int().describe('Rows that were read for this page.'),
    },
    csv: ['at', 'machineId', 'computerDnsName', 'kind', 'from', 'to', 'runId'],
  },
  async handle({ query: { limit, after, since, until, kind } }, { engine }) {
    const now = engine.clock.now()
    const filter = {
      since: since && toTime(since, now),
      until: until && toTime(until, now),
      kinds: kind?.split(','),
    }
    return { status: 200, body: await createHistory(engine).listChanges(filter, limit, after) }
  },
})

/** The numbers of a snapshot. */
export const summarySchema = z.strictObject({
  snapshot: z.strictObject({ runId: z.string(), generatedTime: nullable }),
  devices: z.int(),
  changes: z.looseObject({ state: z.string(), counts: numbers }).nullable(),
  counts: z
    .record(z.string(), numbers)
    .nullable()
    .describe('Devices by value, for each dimension; null when they were not counted.'),
})

const showSummary = route({
  name: 'show-av-health-summary',
  mcp: 'Devices of a snapshot by mode, versions, scan results and more. Null means not counted, not zero; it does not name devices.',
  method: 'GET',
  path: 'av-health/summary',
  summary:
    'The numbers of the current snapshot, or of the last one that was generated until a time',
  query: z.strictObject({ at: timeSchema.optional() }),
  answers: {
    200: {
      description: 'The numbers.',
      body: summarySchema,
    },
  },
  handle: async ({ query: { at } }, { engine }) => ({
    status: 200,
    body: await createHistory(engine).summary(at),
  }),
})

const days = z
  .string()
  .regex(/^(?:[1-9]\d?|[1-3]\d\d|400)$/, 'must be a whole number from 1 to 400')
  .default('30')
  .transform(Number)

const showTrend = route({
  name: 'show-av-health-trend',
  method: 'GET',
  path: 'av-health/trend',
  summary: 'The numbers of each of the last days',
  mcp: 'The numbers of each of the last days. A day without a snapshot is null, not zero; today is partial.',
  query: z.strictObject({ days, by: z.enum(dimensions).default('mode') }),
  answers: {
    200: {
      description: 'A point a day, the newest last; today is `partial`.',
      body: z.strictObject({
        by: z.enum(dimensions),
        days: z.array(
          z.strictObject({
            day: z.string(),
            runId: nullable,
            devices: z.int().nullable(),
            counts: numbers
              .nullable()
              .describe(
                'Of the last snapshot that was generated on this UTC day; null without one.',
              ),
            partial: z.boolean(),
          }),
        ),
      }),
    },
  },
  handle: async ({ query }, { engine }) => ({
    status: 200,
    body: { by: query.by, days: await createHistory(engine).trend(query.days, query.by) },
  }),
})

/** Every route of the antivirus-health flow. */
export const avHealthRoutes = [
  ...createExportRoutes(AV_HEALTH),
  listChanges,
  showSummary,
  showTrend,
]
