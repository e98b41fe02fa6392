import { z } from 'zod'
import { createReadLimit } from '../platform/ordered-reads.ts'
import { invalidRequest, momentSchema, plainText, toTime } from '../platform/request.ts'
import {
  type DeviceCatalog,
  type DeviceDeps,
  deviceRoute,
  type FleetFilter,
  type FleetPosition,
  type Listed,
  machineId,
  nullable,
  snapshotSchema,
} from './deps.ts'

const sorts = ['id', 'worst', 'name'] as const
const isolations = ['isolated', 'selective', 'released'] as const
const text = plainText(300).min(1).optional()

/** One or several words with commas, as the text that was sent. */
const wordsOf = (words: readonly string[]) =>
  z
    .string()
    .max(300)
    .refine(
      (sent) => sent.split(',').every((word) => words.includes(word)),
      `must be of ${words.join(', ')}, separated by commas`,
    )
    .optional()

/** The list of devices, with the words of the domains. */
export function createListDevices({
  conditions,
  modes,
  dimensions,
  columns,
  standing,
  position,
}: DeviceCatalog) {
  const listed = z.strictObject(Object.fromEntries(columns.map((name) => [name, nullable])))
  const entry = z.strictObject({
    machineId: z.string(),
    computerDnsName: nullable,
    avHealth: listed
      .nullable()
      .describe('Null in a list by `isolation` or `pendingAction` without another filter.'),
    standing: standing
      .nullable()
      .describe('Only in a list by `isolation` or `pendingAction`; else it was not read.'),
  })
  const held = ['isolation', 'codeExecution'].flatMap((what) =>
    ['state', 'since', 'actionId'].map((name) => `standing.${what}.${name}`),
  )
  const values = columns.filter((name) => name !== 'computerDnsName')
  const csv = [
    ...['machineId', 'computerDnsName', ...values.map((name) => `avHealth.${name}`)],
    ...[...held, 'standing.pending'],
  ]

  return deviceRoute({
    name: 'list-devices',
    method: 'GET',
    path: 'devices',
    summary: 'Devices by condition, name, group and more, or by what holds on them now',
    mcp: 'Devices by condition, name, group, system, or by what holds on them now. An empty page with a next is not the end.',
    query: z.strictObject({
      condition: wordsOf(conditions).describe(
        'One condition, or several with commas: all of them.',
      ),
      mode: z.enum(modes).optional(),
      group: text.describe('The name or the id of the device group.'),
      os: text.describe('The platform or its kind, for instance `Windows11` or `linux`.'),
      name: text.describe('The name, or its beginning (two characters or more) with `*`.'),
      seenBefore: momentSchema.optional().describe('Last seen before this time, or so long ago.'),
      by: z.enum(dimensions).optional().describe('Together with `value`.'),
      value: text.describe(
        'Devices that GET /api/av-health/summary counts under this value of the dimension `by`.',
      ),
      isolation: wordsOf(isolations).describe('One state, or several with commas.'),
      pendingAction: text.describe('The type of an open machine action, or `any`.'),
      sort: z.enum(sorts).optional(),
    }),
    answers: { 200: { description: 'A page; one that is empty may have a `next`.' } },
    list: {
      name: 'devices',
      of: entry,
      position: z.union([position, z.tuple([z.literal('held'), machineId])]),
      more: {
        snapshot: snapshotSchema,
        asOf: nullable.describe('Until when machine actions are folded in; null where not read.'),
        scanned: z.int().describe('Rows that were read for this page.'),
      },
      csv,
    },
    async handle({ query: { limit, after, ...query } }, deps) {
      const { condition, isolation, pendingAction, seenBefore, sort, ...texts } = query
      const filter: FleetFilter = {
        ...texts,
        conditions: condition?.split(','),
        seenBefore: seenBefore && toTime(seenBefore, deps.clock.now()),
      }
      checkName(filter.name)
      checkValue(filter)
      if (isolation !== undefined || pendingAction !== undefined) {
        checkSort(sort ?? 'id', ['id'])
        if (filter.conditions || filter.by)
          throw invalidRequest([
            {
              path: filter.conditions ? 'query.condition' : 'query.by',
              message: 'cannot be used with isolation or pendingAction',
            },
          ])
        if (after && after[0] !== 'held')
          throw invalidRequest([{ path: 'query.after', message: 'is not a "next" of this list' }])
        const held = { isolation: isolation?.split(','), pendingAction }
        return { status: 200, body: await listHeld(deps, held, filter, limit, after?.[1]) }
      }
      const allowed = allowedSorts(filter)
      const wanted = sort ?? allowed.at(-1) ?? 'id'
      checkSort(wanted, allowed)
      if (after && after[1] !== wanted)
        throw invalidRequest([{ path: 'query.after', message: 'is not a "next" of this list' }])
      const fleet = await deps.fleet()
      const from = after as FleetPosition | undefined
      const { devices, ...rest } = await fleet.listDevices(filter, wanted, limit, from)
      const entries = devices.map((device) => ({ ...withValues(device), standing: null }))
      return { status: 200, body: { devices: entries, ...rest, asOf: null } }
    },
  })
}

/** A list by what holds now. It reads the snapshot only where a filter needs it. */
async function listHeld(
  deps: DeviceDeps,
  held: { isolation?: readonly string[]; pendingAction?: string },
  filter: FleetFilter,
  limit: number,
  after: string | undefined,
) {
  const reads = createReadLimit(deps.clock)
  const standings = await deps.standings()
  const isJoined = Object.values(filter).some((value) => value !== undefined)
  // A join reads one row for each device.
  const size = isJoined ? Math.min(limit, 15) : limit
  const page = await standings.list(held, size, reads, after)
  const toNext = (id: string | null | undefined) => (id ? (['held', id] as ['held', string]) : null)
  if (!isJoined) {
    const { asOf, devices, next } = page
    const entries = devices.map((device) => ({ ...device, avHealth: null }))
    return { devices: entries, snapshot: null, asOf, scanned: reads.scanned, next: toNext(next) }
  }
  const ids = page.devices.map(({ machineId }) => machineId)
  const { devices, snapshot, read } = await (await deps.fleet()).devicesById(ids, filter, reads)
  const entries = page.devices.flatMap((one) => {
    const device = devices.get(one.machineId)
    return device ? [{ ...withValues(device), standing: one.standing }] : []
  })
  const next = read < ids.length ? ids[read - 1] : page.next
  const { asOf } = page
  return { devices: entries, snapshot, asOf, scanned: reads.scanned, next: toNext(next) }
}

const withValues = ({ machineId, ...values }: Listed) => ({
  machineId,
  computerDnsName: (values.computerDnsName ?? null) as string | null,
  avHealth: values,
})

/** The orders of a list with this filter, the usual one last. */
function allowedSorts({ conditions, name, by }: FleetFilter): (typeof sorts)[number][] {
  if (by !== undefined) return ['id']
  if (name !== undefined) return conditions?.length ? ['id'] : ['id', 'name']
  return conditions?.length === 1 ? ['id', 'worst'] : ['id']
}

function checkSort(sort: string, allowed: readonly string[]) {
  if (allowed.includes(sort)) return
  const message = `must be ${allowed.join(' or ')} with this filter: worst needs one condition and no name, name needs a name`
  throw invalidRequest([{ path: 'query.sort', message }])
}

function checkValue({ by, value }: FleetFilter) {
  // `(other)` is many values: what is among them is not stored.
  if ((by === undefined) !== (value === undefined) || value === '(other)')
    throw invalidRequest([{ path: 'query.value', message: 'must be one value of by' }])
}

function checkName(name: string | undefined) {
  if (name === undefined) return
  const begin = name.endsWith('*') ? name.slice(0, -1) : name
  const path = 'query.name'
  if (begin.includes('*')) throw invalidRequest([{ path, message: 'takes * only at its end' }])
  if (name !== begin && [...begin].length < 2)
    throw invalidRequest([{ path, message: 'needs two characters or more before *' }])
}
