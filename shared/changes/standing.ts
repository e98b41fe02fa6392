import { z } from 'zod'
import type { CloudEvent } from '../events/event.ts'
import { type Feed, type Head, type RowChange, StreamMoved } from '../events/feed/feed.ts'
import type { Log } from '../platform/log.ts'
import type { Columns } from '../platform/table.ts'
import { rowCodec } from '../platform/table-record.ts'
import { timeKey } from '../platform/time.ts'
import { type PollContext, readPollState } from './poll-state.ts'
import { isTerminal, type Resource, type SeenItem } from './resource.ts'

const text = z.string().nullable()
const since = { since: text, actionId: z.string() }
export const isolationStates = ['isolated', 'selective', 'released'] as const
const codeStates = ['restricted', 'unrestricted'] as const

/** An event about an action of a device; `action` is its type. */
export const actionEventSchema = z.strictObject({
  ...{ sequence: z.string(), time: z.string(), type: z.string() },
  ...{ actionId: z.string(), action: text, state: text },
})

/** What the machine actions say of a device. Null is unknown: no kept action says it. */
const standingSchema = z.object({
  computerDnsName: text,
  isolation: z.object({ state: z.enum(isolationStates), ...since }).nullable(),
  codeExecution: z.object({ state: z.enum(codeStates), ...since }).nullable(),
  lastScan: z.object({ scope: text, ...since }).nullable(),
  lastPackage: z.object(since).nullable(),
  /** Its open actions, at most 20. */
  pending: z.array(z.object({ type: text, requestor: text, ...since })).default([]),
  /** Whether there were more than 20: some may be missing. */
  pendingCut: z.boolean().default(false),
  /** The last events about its actions, newest first. */
  lastEvents: z.array(actionEventSchema).default([]),
})

export type Standing = z.output<typeof standingSchema>
type Slot = 'isolation' | 'codeExecution' | 'lastScan' | 'lastPackage'

export const noStanding: Standing = {
  computerDnsName: null,
  isolation: null,
  codeExecution: null,
  lastScan: null,
  lastPackage: null,
  pending: [],
  pendingCut: false,
  lastEvents: [],
}

/** One machine action, and the event that says so; what the first poll finds has none. */
type Action = NonNullable<ReturnType<typeof toAction>> & {
  event?: z.output<typeof actionEventSchema>
}

const cutText = (longest: number) =>
  text.catch(null).transform((value) => value?.slice(0, longest) ?? null)

const actionFields = z.object({
  // A part of row keys.
  machineId: z
    .string()
    .regex(/^[\w.-]{1,128}$/)
    .toLowerCase(),
  type: cutText(40),
  scope: cutText(40),
  requestor: cutText(100),
  computerDnsName: cutText(1024),
  createdAt: cutText(40),
  updatedAt: cutText(40),
})

/** Undefined for an action without a device. */
function toAction(
  resource: Resource,
  id: string,
  state: string | null,
  fields: Record<string, unknown>,
) {
  const { data } = actionFields.safeParse(fields)
  if (!data) return undefined
  const isOpen = state !== null && !isTerminal(resource, state)
  return { id, ...data, isOpen, isDone: state === 'Succeeded' }
}

/** An item that is gone has no state any more. */
function fromEvent(resource: Resource, { data, sequence, time, type }: CloudEvent) {
  const [actionId, state] = [String(data.id), data.to === null ? null : String(data.to)]
  const action = toAction(resource, actionId, state, data)
  return (
    action && { ...action, event: { sequence, time, type, actionId, action: action.type, state } }
  )
}

/** What an action that succeeded sets. */
const slots: Record<string, (action: Action) => { slot: Slot; value: object }> = {
  Isolate: ({ scope }) => ({
    slot: 'isolation',
    value: { state: /^selective$/i.test(scope ?? '') ? 'selective' : 'isolated' },
  }),
  Unisolate: () => ({ slot: 'isolation', value: { state: 'released' } }),
  RestrictCodeExecution: () => ({ slot: 'codeExecution', value: { state: 'restricted' } }),
  UnrestrictCodeExecution: () => ({ slot: 'codeExecution', value: { state: 'unrestricted' } }),
  RunAntiVirusScan: ({ scope }) => ({ slot: 'lastScan', value: { scope } }),
  CollectInvestigationPackage: () => ({ slot: 'lastPackage', value: {} }),
}

const MAX_PENDING = 20
const MAX_EVENTS = 10

/** The standing after an action was seen. Of two actions in conflict the one that ended last counts. Pure. */
export function fold(before: Standing, action: Action): Standing {
  const { id: actionId, type, requestor, createdAt, computerDnsName, isOpen } = action
  const others = before.pending.filter((one) => one.actionId !== actionId)
  const opened = { type, requestor, since: createdAt, actionId }
  const after: Standing = {
    ...before,
    computerDnsName: computerDnsName ?? before.computerDnsName,
    pending: isOpen ? [...others, opened].slice(-MAX_PENDING) : others,
    pendingCut: before.pendingCut || (isOpen && others.length >= MAX_PENDING),
    lastEvents: [...(action.event ? [action.event] : []), ...before.lastEvents].slice(
      0,
      MAX_EVENTS,
    ),
  }
  const set = Object.hasOwn(slots, type ?? '') ? slots[type ?? '']?.(action) : undefined
  if (!set) return after
  const { slot, value } = set
  const known = before[slot]
  const endedAt = action.updatedAt ?? createdAt
  if (action.isDone) {
    const isLater = !known || timeKey(endedAt) >= timeKey(known.since)
    return isLater ? { ...after, [slot]: { ...value, since: endedAt, actionId } } : after
  }
  // It had succeeded and has not any more: what was before it is not known.
  return known?.actionId === actionId ? { ...after, [slot]: null } : after
}

/** Whether something holds on a device: only then it has a row `held|<machine id>`. */
export const isHeld = ({ isolation, codeExecution, pending }: Standing): boolean =>
  pending.length > 0 ||
  (isolation !== null && isolation.state !== 'released') ||
  codeExecution?.state === 'restricted'

export const standingRow = rowCodec(standingSchema)

/** The standing in a row `device|…` or `held|…`; undefined for a row that can't be read. */
export const toStanding = (columns: Columns): Standing | undefined => standingRow.tryRead(columns)

/** The changes of the rows of a device. */
function toRows(machineId: string, before: Standing | undefined, after: Standing): RowChange[] {
  const columns = standingRow.toColumns(after)
  const held = { rowKey: `held|${machineId}`, columns: isHeld(after) ? columns : null }
  const mayExist = held.columns !== null || (before !== undefined && isHeld(before))
  return [{ rowKey: `device|${machineId}`, columns }, ...(mayExist ? [held] : [])]
}

/** Most changed rows of one transaction, beside the head. */
const MAX_ROWS = 98

const splitRows = (rows: RowChange[]): RowChange[][] =>
  Array.from({ length: Math.ceil(rows.length / MAX_ROWS) }, (_, n) =>
    rows.slice(n * MAX_ROWS, (n + 1) * MAX_ROWS),
  )

type Deps = { feed: Feed; resource: Resource; log: Log }

/**
 * Begins the projection with the items that a poll has seen and the whole kept history of the actions that set a standing.
 * Answers the head after it. Without the history it does not begin, and the next poll tries again: the poll goes on.
 */
export async function beginStanding(
  context: Pick<PollContext, 'feed' | 'resource' | 'source' | 'track' | 'log'>,
  head: Head,
  seen: Iterable<SeenItem>,
): Promise<Head> {
  const { feed, resource, source, track, log } = context
  // A first poll that broke off is repeated, and again emits nothing for what it finds.
  const hasBegun = head.folded !== null && readPollState(head).baselineDone
  if (!resource.history || hasBegun) return head
  const items = [...seen]
  try {
    await track(async () => {
      for await (const { rows } of source.history?.() ?? [])
        for (const raw of rows) {
          const item = resource.read(raw)
          // Open ones are in the other lists, and only those are followed.
          if (item && isTerminal(resource, item.state)) items.push(item)
        }
    })
  } catch (error) {
    log.warn('standing has not begun', { resource: resource.name, reason: String(error) })
    return head
  }
  const standings = new Map<string, Standing>()
  const endOf = ({ updatedAt, createdAt }: SeenItem) => timeKey(updatedAt ?? createdAt)
  for (const item of items.sort((a, b) => (endOf(a) < endOf(b) ? -1 : 1))) {
    const action = toAction(resource, item.id, item.state, resource.toData(item))
    if (!action) continue
    const { machineId } = action
    standings.set(machineId, fold(standings.get(machineId) ?? noStanding, action))
  }
  const rows = [...standings].flatMap(([id, standing]) => toRows(id, undefined, standing))
  const fresh = new Set(rows.map(({ rowKey }) => rowKey))
  // What a beginning that broke off has left.
  for (const kind of ['device', 'held']) {
    const range = { partitionKey: resource.name, from: `${kind}|`, before: `${kind}}` }
    for await (const { rowKey } of feed.rowsTable.list(range))
      if (!fresh.has(rowKey)) rows.push({ rowKey, columns: null })
  }
  const chunks = splitRows(rows)
  const last = chunks.pop() ?? []
  let at = head
  for (const chunk of chunks) at = await feed.writeRows(at, chunk, null)
  return feed.writeRows(at, last, 0)
}

/** Events read at once. */
const PAGE = 500

/**
 * Folds the events up to the head into the rows `device|…` and `held|…`, with the cursor in the head in the same
 * transactions. Answers the head after it. Changes nothing while the projection has not begun.
 */
export async function foldStanding({ feed, resource, log }: Deps, head: Head): Promise<Head> {
  let at = head
  while (resource.history && at.folded !== null && at.folded < at.next - 1) {
    const after = at.folded
    const events = await feed.events(resource.name, after, Math.min(PAGE, at.next - 1 - after))
    if (events.length === 0) return feed.writeRows(at, [], at.next - 1)
    const actions = events.map((event) => fromEvent(resource, event))
    const ids = [...new Set(actions.flatMap((action) => action?.machineId ?? []))]
    const known = await readStandings(feed, resource.name, ids)
    let touched = new Map<string, Standing | undefined>()
    const write = async (folded: number) => {
      const rows = [...touched].flatMap(([id, before]) =>
        toRows(id, before, known.get(id) ?? noStanding),
      )
      at = await feed.writeRows(at, rows, folded)
      touched = new Map()
    }
    for (const [index, action] of actions.entries()) {
      if (!action) continue
      const { machineId } = action
      // A transaction has whole events: after a crash none is folded twice.
      if (!touched.has(machineId) && touched.size * 2 + 2 > MAX_ROWS)
        await write(Number(events[index]?.sequence) - 1)
      const before = known.get(machineId)
      if (!touched.has(machineId)) touched.set(machineId, before)
      known.set(machineId, fold(before ?? noStanding, action))
    }
    const last = Number(events.at(-1)?.sequence)
    await write(last)
    const missing = last - after - events.length
    if (missing > 0) log.error('events unreadable', { stream: resource.name, missing, after })
  }
  return at
}

/** Folds as far as nobody else moves the stream; what is left, the next poll or dispatch folds. */
export async function catchUpStanding(deps: Deps, head: Head): Promise<Head> {
  try {
    return await foldStanding(deps, head)
  } catch (error) {
    const reason = error instanceof StreamMoved ? undefined : String(error)
    if (reason) deps.log.warn('standing is behind', { resource: deps.resource.name, reason })
    return head
  }
}

/** So many are read one by one. */
const MAX_SINGLE = 8

/** The standings of these devices. Many are read in pages: from each device on, a page that may hold the next ones too. */
async function readStandings(feed: Feed, stream: string, ids: string[]) {
  const found = new Map<string, Standing>()
  const add = (id: string, columns: Columns | undefined) => {
    const standing = columns && toStanding(columns)
    if (standing) found.set(id, standing)
  }
  if (ids.length <= MAX_SINGLE) {
    await Promise.all(ids.map(async (id) => add(id, await feed.row(stream, `device|${id}`))))
    return found
  }
  const wanted = new Set(ids)
  let left = ids.toSorted()
  while (left.length > 0) {
    const range = { partitionKey: stream, from: `device|${left[0]}`, before: 'device}' }
    const { rows, next } = await feed.rowsTable.page(range)
    let reached = ''
    for (const { rowKey, columns } of rows) {
      reached = rowKey.slice('device|'.length)
      if (wanted.has(reached)) add(reached, columns)
    }
    left = next === undefined ? [] : left.filter((id) => id > reached)
  }
  return found
}
