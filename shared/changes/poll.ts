import { z } from 'zod'
import { type Feed, type Head, StreamMoved } from '../events/feed.ts'
import type { Clock } from '../platform/clock.ts'
import { ConfigError, ShapeError, UpstreamError } from '../platform/errors.ts'
import type { Log } from '../platform/log.ts'
import { timeKey } from '../platform/time-text.ts'
import { type Change, detect, isPlausible, type KnownItem, type Look } from './detect.ts'
import { comparedColumns, toKnown } from './item-row.ts'
import { keepNewest, readLists } from './listing.ts'
import { makeReport, type PollReport, toPollColumns } from './poll-report.ts'
import { type ItemSource, isTerminal, type Resource } from './resource.ts'
import { toStep } from './step.ts'

/** What one resource is watched with. */
export interface Watch {
  resource: Resource
  source: ItemSource
  feed: Feed
  clock: Clock
  log: Log
  /** What is known, as of a head; a poll that finds the head unmoved need not read it again. */
  memory: { etag?: string; known?: Map<string, KnownItem> }
  /** The tenant's id for the source of events; null while nobody knows it. */
  tenantId(): Promise<string | null>
  /** Makes a call to the upstream, noting how it went. */
  over<T>(call: () => Promise<T>): Promise<T>
  overdueHours: number
  /** Tell what the first look finds. */
  tellBaseline: boolean
}

const HOUR_MS = 3_600_000
/** A poll that has not ended after so long counts as dead. */
const RUNNING_MS = 120_000
const OVERLAP_MS = HOUR_MS
const WIDE_MS = 4 * 24 * HOUR_MS
const MOST_RECHECKS = 50
const MOST_TURNS = 5

const watchSchema = z.object({
  cursor: z.string().nullable().default(null),
  /** Where the window of the first look began: what is older and over was never ours to tell. */
  since: z.string().nullable().default(null),
  wideAt: z.string().nullable().default(null),
  baselineDone: z.boolean().default(false),
  tenantId: z.string().nullable().default(null),
  /** The id after which the open items that no list brings are asked for next. */
  recheckAfter: z.string().default(''),
})

/** Where the watch of a resource stands. */
export type WatchState = z.output<typeof watchSchema>

/** Reads where a watch stands. */
export const readWatch = (head: Head): WatchState => watchSchema.parse(JSON.parse(head.watch || '{}'))

/**
 * Looks once at everything that may have changed and writes it down: one event a change, together with what is known now and
 * where the watch stands. Nothing moves unless the whole list was read; whoever was overtaken lists anew.
 */
export async function poll(watch: Watch): Promise<{ report: PollReport; head: Head }> {
  const { resource, feed, clock } = watch
  const startedAt = clock.now().toISOString()
  const until = new Date(clock.now().getTime() + RUNNING_MS).toISOString()
  await feed.notePoll(resource.name, { startedAt, until })
  for (let turn = 1; ; turn++) {
    try {
      return await pollOnce(watch, startedAt)
    } catch (error) {
      watch.memory = {}
      if (error instanceof StreamMoved && turn < MOST_TURNS) continue
      await noteFailure(watch, startedAt, error)
      throw error
    }
  }
}

async function noteFailure({ resource, feed, log }: Watch, startedAt: string, error: unknown): Promise<void> {
  if (!(error instanceof UpstreamError || error instanceof ShapeError || error instanceof ConfigError)) return
  const facts = error instanceof UpstreamError ? error.facts : undefined
  log.error(`poll of ${resource.name} failed`, {
    reason: error.message,
    status: facts?.status,
    missing: facts?.missing,
  })
  await feed.notePoll(resource.name, { startedAt, error: error.message })
}

async function pollOnce(watch: Watch, startedAt: string): Promise<{ report: PollReport; head: Head }> {
  const { resource, source, feed, clock, log } = watch
  const head = await feed.head(resource.name)
  const state = readWatch(head)
  const known = await readKnown(watch, head)
  const now = clock.now()
  const wideStart = new Date(now.getTime() - WIDE_MS)
  const isWide = state.wideAt === null || now.getTime() - Date.parse(state.wideAt) >= HOUR_MS
  const since = state.since ?? wideStart.toISOString()
  const cursorStart = startOf(since, state.cursor)
  const { seen, openNow, unreadable, newest } = await watch.over(() =>
    readLists(resource, source, (isWide && wideStart < cursorStart ? wideStart : cursorStart).toISOString()),
  )
  const listed = seen.size
  const { missing, rechecked, recheckAfter } = await watch.over(() => recheck(watch, known, seen, state))
  const cursor = newest !== null && timeKey(newest) > timeKey(state.cursor) ? newest : state.cursor
  const look: Look = {
    ...{ seen, openNow, missing, now, overdueHours: watch.overdueHours },
    windowStart: new Date(Math.min(wideStart.getTime(), startOf(since, cursor).getTime())),
    isSilent: !state.baselineDone && !watch.tellBaseline,
    freshVersion: head.next + 1,
  }
  const changes = detect(resource, known, look)
  if (!isPlausible(known, look, resource))
    log.error('too many items would be gone at once', { resource: resource.name })
  const tenantId = state.tenantId ?? (await watch.tenantId())
  const steps = await Promise.all(changes.map((change) => toStep(watch, change, tenantId, now)))
  const next: WatchState = {
    ...{ cursor, since, tenantId, recheckAfter, baselineDone: true },
    wideAt: isWide ? now.toISOString() : state.wideAt,
  }
  apply(known, changes)
  const report = makeReport(resource, known, {
    startedAt,
    endedAt: clock.now().toISOString(),
    listed,
    rechecked,
    steps,
  })
  const after = await feed.append(head, steps, JSON.stringify(next), toPollColumns(report))
  watch.memory = { etag: after.etag, known }
  log.info(`polled ${resource.name}`, {
    listed,
    rechecked,
    events: report.events,
    openItems: report.openItems,
    unreadable,
  })
  return { report, head: after }
}

/** Where a list begins that follows the cursor. While nothing was seen yet it is where the first look began. */
const startOf = (since: string, cursor: string | null) =>
  new Date(Math.max(Date.parse(since), cursor === null ? 0 : Date.parse(cursor) - OVERLAP_MS))

async function readKnown({ feed, resource, memory }: Watch, head: Head): Promise<Map<string, KnownItem>> {
  // A copy: what is changed below must not outlive a failure.
  if (memory.known && memory.etag === head.etag) return new Map(memory.known)
  const rows = await feed.items(resource.name, comparedColumns)
  return new Map(rows.map(({ id, columns }) => [id, toKnown(id, columns)]))
}

/** Asks by id for the open items that no list brought, some at a time, and goes on with the others next time. */
async function recheck(
  { resource, source }: Watch,
  known: Map<string, KnownItem>,
  seen: Map<string, { id: string }>,
  state: WatchState,
) {
  const due = [...known.values()]
    .filter((item) => !seen.has(item.id) && !item.gone && !isTerminal(resource, item.state))
    .map(({ id }) => id)
    .sort()
  const turn = [...due.filter((id) => id > state.recheckAfter), ...due.filter((id) => id <= state.recheckAfter)]
  const asked = turn.slice(0, MOST_RECHECKS)
  const missing: string[] = []
  for (const id of asked) {
    const raw = await source.get(id)
    const item = raw === undefined ? undefined : resource.read(raw)
    if (raw === undefined) missing.push(id)
    else if (item?.id === id) keepNewest(seen as Parameters<typeof keepNewest>[0], item)
  }
  return { missing, rechecked: asked.length, recheckAfter: asked.at(-1) ?? state.recheckAfter }
}

function apply(known: Map<string, KnownItem>, changes: Change[]): void {
  for (const { id, item } of changes) {
    if (item) known.set(id, item)
    else known.delete(id)
  }
}
