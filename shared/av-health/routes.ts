import { z } from 'zod'
import { createExportRoutes, type ExportDeps } from '../exports/routes.ts'
import { wordsFilter } from '../platform/forms.ts'
import { momentSchema, toPast, toTime } from '../platform/request.ts'
import { defineRoute } from '../platform/route.ts'
import { conditionsSchema } from './conditions.ts'
import { AV_HEALTH } from './export.ts'
import { changePosition, createHistory, dimensions } from './history.ts'
import { DEVICE_ID } from './record.ts'
import { thresholdsSchema, transitionKinds } from './transitions.ts'

const route = defineRoute<ExportDeps>()
const nullable = z.string().nullable()
const values = z.record(z.string(), z.unknown())
const numbers = z.record(z.string(), z.int())

/** What changed on a device between two snapshots. */
const changeSchema = z.strictObject({
  at: z.string(),
  runId: z.string(),
  kind: z.string(),
  from: values,
  to: values,
})

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
    kind: wordsFilter(transitionKinds).describe('One or several, with commas.'),
  }),
  answers: { 200: { description: 'A page; one that is empty may have a `next`.' } },
  list: {
    name: 'av-health-changes',
    member: 'changes',
    of: changeSchema.extend({ machineId: z.string(), computerDnsName: nullable }),
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
      since: since && toPast('query.since', since, now, until),
      until: until && toTime(until, now),
      kinds: kind?.split(','),
    }
    return { status: 200, body: await createHistory(engine).listChanges(filter, limit, after) }
  },
})

const snapshotSchema = z.strictObject({
  runId: z.string(),
  generatedTime: nullable,
  thresholds: thresholdsSchema
    .nullable()
    .describe('In days before the snapshot. Null: it was not compared.'),
})

/** What is stored of one device. */
export const avHealthSchema = z.strictObject({
  snapshot: snapshotSchema.nullable().describe('Null before the first snapshot.'),
  device: values
    .nullable()
    .describe('The columns of the snapshot row; null when the snapshot does not hold it.'),
  conditions: conditionsSchema,
  firstSeenAt: nullable,
  goneSince: nullable,
  lastChanges: z.array(changeSchema),
})

export const machineIdSchema = z
  .string()
  .regex(DEVICE_ID, 'must be 1 to 128 letters, digits, dots, dashes or underscores')
  .toLowerCase()

const listHistory = route({
  name: 'list-device-history',
  method: 'GET',
  path: 'devices/{machineId}/history',
  summary: 'What changed on a device between snapshots, newest first',
  mcp: 'What changed on one device between snapshots. It does not hold what changed and changed back in between.',
  params: z.strictObject({ machineId: machineIdSchema }),
  answers: { 200: { description: 'A page of changes.' } },
  list: {
    name: 'device-history',
    member: 'history',
    of: changeSchema,
    position: z.string().max(300),
    more: {
      isKnown: z.boolean().describe('False when no snapshot held the device.'),
      scanned: z.int(),
    },
    csv: ['at', 'kind', 'from', 'to', 'runId'],
  },
  handle: async ({ params: { machineId }, query: { limit, after } }, { engine }) => ({
    status: 200,
    body: await createHistory(engine).listHistory(machineId, limit, after),
  }),
})

/** The numbers of a snapshot. */
export const summarySchema = z.strictObject({
  snapshot: snapshotSchema,
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
  query: z.strictObject({ at: momentSchema.optional() }),
  answers: {
    200: {
      description: 'The numbers.',
      body: summarySchema,
    },
  },
  handle: async ({ query: { at } }, { engine }) => ({
    status: 200,
    body: await createHistory(engine).summary(at && toTime(at, engine.clock.now())),
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
  listHistory,
  showSummary,
  showTrend,
]
