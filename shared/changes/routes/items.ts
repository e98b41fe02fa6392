import { z } from 'zod'
import { cloudEventSchema } from '../../events/event.ts'
import { RequestError, ShapeError } from '../../platform/errors.ts'
import { invalidRequest } from '../../platform/request.ts'
import { defineRoute, type LongPollOption } from '../../platform/route.ts'
import type { Tickets } from '../../platform/tickets.ts'
import { DAY_MS, MINUTE_MS, SECOND_MS } from '../../platform/time.ts'
import { type ItemData, type KnownItem, openSince, seenData, toItemData, toKnown } from '../item.ts'
import { type PollContext, readReport } from '../poll-state.ts'
import { isTerminal, itemIdSchema } from '../resource.ts'
import { resources } from '../resources/index.ts'
import { toStanding } from '../standing.ts'
import { duplicatesIn } from '../standings.ts'

export interface ChangesDeps {
  context(name: string): PollContext
  /** Sends new events of a stream to their subscribers. */
  dispatch(stream: string): Promise<void>
  tickets: Tickets
}

export const changesRoute = defineRoute<ChangesDeps>()

/** An item in an answer, with the promised fields of its resource. */
export interface ItemView extends Record<string, unknown> {
  id: string
  resource: string
  version: number
  state: string
  terminal: boolean
  openSince: string | null
  lastCheckedAt: string | null
}

export function viewItem(
  { resource }: Pick<PollContext, 'resource'>,
  known: Pick<KnownItem, 'id' | 'state' | 'version' | 'createdAt' | 'firstSeenAt' | 'gone'>,
  { fields, raw }: ItemData,
  lastCheckedAt: string | null,
): ItemView {
  const terminal = isTerminal(resource, known.state)
  return {
    id: known.id,
    resource: resource.name,
    version: known.version,
    state: known.state,
    terminal,
    reason: known.gone,
    ...fields,
    openSince: terminal || known.gone ? null : openSince(known),
    lastCheckedAt,
    item: raw,
  }
}

/** A stored item; undefined if there is none that can be read. */
export async function readItem(
  context: Pick<PollContext, 'resource' | 'feed'>,
  id: string,
): Promise<ItemView | undefined> {
  const { resource, feed } = context
  const columns = await feed.item(resource.name, id)
  const known = columns && toKnown(id, columns)
  if (!known) return undefined
  const report = await readReport(context)
  return viewItem(context, known, toItemData(columns), report?.endedAt ?? null)
}

/** How long an instance keeps an answer of the upstream, for all callers. */
const FETCHED_MS = 20 * SECOND_MS
/** For tickets an instance asks for at most so many ids in that time: the calls are for callers with a key. */
const MAX_FOR_TICKETS = 3

/**
 * An item: as it is stored, else as the upstream had it in the last 20 seconds; undefined if there is none, null if the
 * upstream was not asked. For investigations the id may be that of an alert: the stored item answers then too.
 */
async function findItem(context: PollContext, id: string, isForTicket = false) {
  const stored = await readItem(context, id.toLowerCase())
  if (stored) return stored
  const { resource, source, track, clock, memory } = context
  const nowMs = clock.now().getTime()
  memory.fetched ??= new Map()
  const { fetched } = memory
  for (const [one, { atMs }] of fetched)
    if (Math.abs(nowMs - atMs) >= FETCHED_MS) fetched.delete(one)
  let call = fetched.get(id)
  if (call?.raw === undefined) {
    if (isForTicket && (call || fetched.size >= MAX_FOR_TICKETS)) return null
    call = { atMs: nowMs, raw: track(() => source.get(id)) }
    fetched.set(id, call)
  }
  try {
    const raw = await call.raw
    if (raw === undefined) return undefined
    const seen = resource.read(raw)
    if (!seen) throw new ShapeError('defender', `GET ${resource.path}/${id}`, 'no readable item')
    const at = new Date(call.atMs).toISOString()
    const known = { ...seen, version: 0, firstSeenAt: at, gone: null }
    const same = await readItem(context, seen.id)
    return same ?? viewItem({ resource }, known, seenData(resource, seen), at)
  } catch (error) {
    // An error is not kept: the next caller with a key asks again.
    call.raw = undefined
    throw error
  }
}

const resourceNames = resources.map(({ name }) => name)

export const resourceParam = z.enum(resourceNames, {
  error: `must be one of ${resourceNames.join(', ')}`,
})

export const itemSchema = z.looseObject({
  id: z.string(),
  resource: z.enum(resourceNames),
  version: z.int(),
  state: z.string(),
  terminal: z.boolean(),
  openSince: z.string().nullable(),
  lastCheckedAt: z.string().nullable(),
})

export const showItem = changesRoute({
  name: 'show-item',
  method: 'GET',
  path: 'changes/{resource}/items/{id}',
  summary: 'One item with all its stored events',
  mcp: 'One machine action or investigation with its stored events. Its events from before the app began to watch are not there.',
  params: z.strictObject({ resource: resourceParam, id: itemIdSchema }),
  answers: {
    200: {
      description: 'The item.',
      body: z.strictObject({ item: itemSchema, events: z.array(cloudEventSchema) }),
    },
  },
  async handle({ params: { resource, id } }, deps) {
    const context = deps.context(resource)
    const item = await findItem(context, id)
    if (!item) throw unknownItem(resource, id)
    const [events, duplicateOf] = await Promise.all([
      eventsOf(context, item.id),
      findDuplicates(context, item),
    ])
    return { status: 200, body: { item: { ...item, ...duplicateOf }, events } }
  },
})

/** The other open actions of the same type on the device, as its standing has them. */
async function findDuplicates({ resource, feed }: PollContext, item: ItemView) {
  const { machineId, type, openSince } = item
  if (!resource.duplicatesBy || openSince === null || !itemIdSchema.safeParse(machineId).success)
    return {}
  const columns = await feed.row(resource.name, `held|${String(machineId).toLowerCase()}`)
  const pending = (columns && toStanding(columns)?.pending) ?? []
  return { duplicateOf: duplicatesIn(pending, type, item.id) }
}

/** All stored events of an item, in order. */
const eventsOf = ({ feed, resource }: PollContext, id: string) =>
  feed.eventsAbout(resource.name, id)

const unknownItem = (resource: string, id: string): RequestError =>
  new RequestError({
    status: 404,
    problem: 'item-not-found',
    title: 'There is no such item',
    detail: `Neither the app nor Defender has "${id}" among the ${resource}.`,
    fix: `GET /api/changes/${resource}/items lists the watched items.`,
  })

/** How long to wait for an unknown id: an item that was just created may become visible late. */
const UNKNOWN_MS = 2 * MINUTE_MS

const minutes = z
  .string()
  .regex(/^[1-9]\d{0,4}$/, 'must be a whole number from 1 to 10080')
  .default('4380')
  .transform(Number)
  .refine((value) => value <= 10_080, 'must be a whole number from 1 to 10080')

const waited = z.object({
  resource: resourceParam,
  id: z.string(),
  timeoutMinutes: z.number(),
  failOn: z.array(z.string()).default([]),
})

/** The end of a wait in a state that the caller takes for a failure. */
const failed = (item: ItemView) =>
  new RequestError({
    status: 409,
    problem: 'action-failed',
    title: `The item ended as ${item.state}`,
    detail: `${item.resource} ${item.id} ended in a state that is in failOn.`,
    fix: 'item says more. Without failOn every end is answered with 200.',
    item,
  })

const wait = {
  name: 'changes-wait',
  subject: waited,
  lifetimeMs: ({ timeoutMinutes }) => timeoutMinutes * MINUTE_MS + DAY_MS,
  retryAfterSeconds: 20,
  async read({ resource, id, timeoutMinutes, failOn }, deps, use?: { ageMs: number }) {
    const context = deps.context(resource)
    const ageMs = use?.ageMs ?? 0
    const isLate = ageMs >= timeoutMinutes * MINUTE_MS
    const item = isLate
      ? ((await readItem(context, id.toLowerCase())) ?? null)
      : await findItem(context, id, use !== undefined)
    const end = async (outcome: string) => ({
      status: 200,
      body: { outcome, item: item ?? null, events: await eventsOf(context, item?.id ?? id) },
    })
    if (item?.terminal && failOn.includes(item.state)) throw failed(item)
    if (item?.terminal) return end('terminal')
    if (item?.reason) return end('gone')
    if (isLate) return end('deadline')
    if (item === undefined && ageMs >= UNKNOWN_MS) throw unknownItem(resource, id)
    return { status: 202, body: { id, state: item?.state ?? null } }
  },
} satisfies LongPollOption<ChangesDeps, typeof waited>

export const waitForItem = changesRoute({
  name: 'wait-for-item',
  method: 'GET',
  path: 'changes/{resource}/items/{id}/wait',
  summary:
    'Answer 202 with a Location until the item is in a terminal state or the deadline has passed',
  params: z.strictObject({ resource: resourceParam, id: itemIdSchema }),
  query: z.strictObject({
    timeoutMinutes: minutes,
    failOn: z
      .string()
      .max(300)
      .optional()
      .describe('Terminal states, with commas, that are answered with 409 `action-failed`.'),
  }),
  answers: {
    200: {
      description: 'The end of the wait.',
      body: z.strictObject({
        outcome: z.enum(['terminal', 'deadline', 'gone']),
        item: itemSchema.nullable(),
        events: z.array(cloudEventSchema),
      }),
    },
    202: {
      description: 'Not yet: get Location after Retry-After.',
      body: z.strictObject({ id: z.string(), state: z.string().nullable() }),
    },
  },
  longPoll: wait,
  async handle({ params: { resource, id }, query: { timeoutMinutes, ...query } }, deps) {
    const { terminalStates } = deps.context(resource).resource
    const failOn = (query.failOn?.split(',') ?? []).map(
      (word) =>
        terminalStates.find((state) => state.toLowerCase() === word.trim().toLowerCase()) ?? '',
    )
    if (failOn.includes(''))
      throw invalidRequest([
        {
          path: 'query.failOn',
          message: `must be of ${terminalStates.join(', ')}, separated by commas`,
        },
      ])
    const subject = { resource, id, timeoutMinutes, failOn }
    return { ...(await wait.read(subject, deps)), subject }
  },
})
