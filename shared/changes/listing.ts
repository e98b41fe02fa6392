import { ShapeError } from '../platform/errors.ts'
import { isEarlier, timeKey } from '../platform/time.ts'
import type { PollContext, Rejected } from './poll-state.ts'
import type { ItemSource, Resource, SeenItem, Wanted } from './resource.ts'

interface Listing {
  seen: Map<string, SeenItem>
  rejected: Rejected
  /**
   * The newest creation time, as the service wrote it. Never later than the service's clock; null if its answer has no
   * date.
   */
  newest: string | null
}

/**
 * Reads both lists to their ends: items created since a time, and items that are open now. Throws when a page of either
 * fails.
 */
export async function readLists(
  resource: Resource,
  source: ItemSource,
  createdSince: string,
): Promise<Listing> {
  const rejected: Rejected = { unreadable: 0, outside: 0, badTimes: 0 }
  const listing: Listing = { seen: new Map(), rejected, newest: null }
  const servedAt = await readList({ createdSince })
  await readList({ openNow: true })
  listing.newest = newestOf(listing.seen.values(), servedAt)
  return listing

  /** Returns the date of the first page. */
  async function readList(wanted: Wanted): Promise<Date | undefined> {
    let servedAt: Date | undefined
    for await (const { rows, date } of source.list(wanted)) {
      servedAt ??= date
      for (const row of rows) {
        const item = resource.read(row)
        if (!item) rejected.unreadable += 1
        else if (!isWanted(resource, item, wanted)) rejected.outside += 1
        else keepNewest(listing.seen, item)
        rejected.badTimes += item?.badTimes ?? 0
      }
    }
    return servedAt
  }
}

/** Whether a row answers the question: also with a creation time that can't be read. */
function isWanted(
  { openStates }: Resource,
  { state, createdAt, badTimes = 0 }: SeenItem,
  wanted: Wanted,
): boolean {
  if ('openNow' in wanted) return openStates.includes(state)
  if (createdAt === null) return badTimes > 0
  return Date.parse(createdAt) >= Date.parse(wanted.createdSince)
}

/**
 * An item can come twice, from two lists or from pages that shifted. The later update counts; without update times, the
 * later row.
 */
function keepNewest(seen: Map<string, SeenItem>, item: SeenItem): void {
  const known = seen.get(item.id)
  if (!known || !isEarlier(item.updatedAt, known.updatedAt)) seen.set(item.id, item)
}

function newestOf(items: Iterable<SeenItem>, servedAt: Date | undefined): string | null {
  if (!servedAt) return null
  let newest: string | null = null
  let newestKey = ''
  const servedKey = timeKey(servedAt.toISOString())
  for (const { createdAt } of items) {
    const key = timeKey(createdAt)
    // With a creation time in the future, the cursor would skip what is created until then.
    if (key <= newestKey || key > servedKey) continue
    newestKey = key
    newest = createdAt
  }
  return newest
}

const MAX_RECHECKS = 50

/**
 * Gets items by id: the doubtful ones, and some of those in no list; the next poll continues after `recheckAfter`. Adds
 * the answers to `seen` and `rejected`.
 */
export async function recheck(
  { resource, source }: Pick<PollContext, 'resource' | 'source'>,
  { doubtful, unlisted, after }: { doubtful: string[]; unlisted: string[]; after: string },
  { seen, rejected }: Omit<Listing, 'newest'>,
) {
  const ids = unlisted.toSorted()
  const inOrder = [...ids.filter((id) => id > after), ...ids.filter((id) => id <= after)]
  const first = doubtful.slice(0, MAX_RECHECKS)
  const next = inOrder.slice(0, MAX_RECHECKS - first.length)
  const missing: string[] = []
  const confirmed = new Set<string>()
  for (const id of [...first, ...next]) {
    const raw = await source.get(id).catch((error) => {
      // It stops no other item.
      if (error instanceof ShapeError) return null
      throw error
    })
    const item = resource.read(raw)
    if (raw === undefined) missing.push(id)
    else if (!item) rejected.unreadable += 1
    else if (item.id !== id) rejected.outside += 1
    else {
      // It counts more than a list, which may come from a cache.
      seen.set(id, item)
      confirmed.add(id)
      rejected.badTimes += item.badTimes ?? 0
    }
  }
  const rechecked = first.length + next.length
  return { missing, confirmed, rechecked, recheckAfter: next.at(-1) ?? after }
}
