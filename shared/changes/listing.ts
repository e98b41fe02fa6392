import { timeKey } from '../platform/time.ts'
import { isOpen, type KnownItem } from './item.ts'
import type { PollContext } from './poll-state.ts'
import type { ItemSource, Resource, SeenItem, Wanted } from './resource.ts'

/** What the lists of one poll brought. */
interface Listing {
  seen: Map<string, SeenItem>
  /** Rows without an id or a state. */
  unreadable: number
  /** The newest creation time, as the service wrote it; never later than its own clock, null when it does not tell that. */
  newest: string | null
}

/** Reads both lists whole, what was created since a time and what is open now; throws when either can't be read to its end. */
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

  /** Answers when the first page was served. */
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

/** An item may come twice, from two pages that shifted or two lists: what was updated last is true, else what came last. */
function keepNewest(seen: Map<string, SeenItem>, item: SeenItem): void {
  const known = seen.get(item.id)
  if (!known || timeKey(item.updatedAt) >= timeKey(known.updatedAt)) seen.set(item.id, item)
}

function newestOf(items: Iterable<SeenItem>, servedAt: Date | undefined): string | null {
  let newest: string | null = null
  if (!servedAt) return newest
  for (const { createdAt } of items) {
    if (!createdAt || Number.isNaN(Date.parse(createdAt))) continue
    // A creation time in the future would move the cursor past what is created until then.
    if (timeKey(createdAt) > timeKey(servedAt.toISOString())) continue
    if (newest === null || timeKey(createdAt) > timeKey(newest)) newest = createdAt
  }
  return newest
}

const MAX_RECHECKS = 50

/** What asking for single items brought, beside what was added to the lists. */
interface Recheck {
  /** Ids that the upstream does not know. */
  missing: string[]
  rechecked: number
  /** The id after which the next poll goes on. */
  recheckAfter: string
}

/** Asks by id for the open items that no list brought, some at a time, and adds what is answered to `seen`. */
export async function recheck(
  { resource, source }: Pick<PollContext, 'resource' | 'source'>,
  known: ReadonlyMap<string, KnownItem>,
  seen: Map<string, SeenItem>,
  after: string,
): Promise<Recheck> {
  const due = [...known.values()].filter((item) => !seen.has(item.id) && isOpen(resource, item))
  const ids = due.map(({ id }) => id).sort()
  const asked = [...ids.filter((id) => id > after), ...ids.filter((id) => id <= after)].slice(
    0,
    MAX_RECHECKS,
  )
  const missing: string[] = []
  for (const id of asked) {
    const raw = await source.get(id)
    const item = raw === undefined ? undefined : resource.read(raw)
    if (raw === undefined) missing.push(id)
    else if (item?.id === id) keepNewest(seen, item)
  }
  return { missing, rechecked: asked.length, recheckAfter: asked.at(-1) ?? after }
}
