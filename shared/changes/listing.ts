import { timeKey } from '../platform/time.ts'
import { isOpen, type KnownItem } from './item.ts'
import type { PollContext } from './poll-state.ts'
import type { ItemSource, Resource, SeenItem, Wanted } from './resource.ts'

interface Listing {
  seen: Map<string, SeenItem>
  /** Rows without an id or a state. */
  unreadable: number
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
  const listing: Listing = { seen: new Map(), unreadable: 0, newest: null }
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
        if (!item) listing.unreadable += 1
        else keepNewest(listing.seen, item)
      }
    }
    return servedAt
  }
}

/**
 * An item can come twice, from two lists or from pages that shifted. The later update counts; without update times, the
 * later row.
 */
function keepNewest(seen: Map<string, SeenItem>, item: SeenItem): void {
  const known = seen.get(item.id)
  if (!known || timeKey(item.updatedAt) >= timeKey(known.updatedAt)) seen.set(item.id, item)
}

function newestOf(items: Iterable<SeenItem>, servedAt: Date | undefined): string | null {
  if (!servedAt) return null
  let newest: string | null = null
  for (const { createdAt } of items) {
    if (!createdAt || Number.isNaN(Date.parse(createdAt))) continue
    // With a creation time in the future, the cursor would skip what is created until then.
    if (timeKey(createdAt) > timeKey(servedAt.toISOString())) continue
    if (newest === null || timeKey(createdAt) > timeKey(newest)) newest = createdAt
  }
  return newest
}

const MAX_RECHECKS = 50

interface Recheck {
  /** Ids that the upstream does not know. */
  missing: string[]
  rechecked: number
  /** The last id that was checked; the next poll continues after it. */
  recheckAfter: string
}

/** Gets the open items that are in no list by id, some in each poll, and adds them to `seen`. */
export async function recheck(
  { resource, source }: Pick<PollContext, 'resource' | 'source'>,
  known: ReadonlyMap<string, KnownItem>,
  seen: Map<string, SeenItem>,
  after: string,
): Promise<Recheck> {
  const unlisted = [...known.values()].filter(
    (item) => !seen.has(item.id) && isOpen(resource, item),
  )
  const ids = unlisted.map(({ id }) => id).sort()
  const inOrder = [...ids.filter((id) => id > after), ...ids.filter((id) => id <= after)]
  const checked = inOrder.slice(0, MAX_RECHECKS)
  const missing: string[] = []
  for (const id of checked) {
    const raw = await source.get(id)
    const item = raw === undefined ? undefined : resource.read(raw)
    if (raw === undefined) missing.push(id)
    else if (item?.id === id) keepNewest(seen, item)
  }
  return { missing, rechecked: checked.length, recheckAfter: checked.at(-1) ?? after }
}
