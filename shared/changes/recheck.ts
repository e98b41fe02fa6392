import { isOpen, type KnownItem } from './known-item.ts'
import { keepNewest } from './listing.ts'
import type { SeenItem } from './resource.ts'
import type { Watch } from './watch.ts'

const MOST_RECHECKS = 50

/** What asking for single items brought, beside what was added to the lists. */
export interface Recheck {
  /** Ids that the upstream does not know. */
  missing: string[]
  rechecked: number
  /** The id after which the next poll goes on. */
  recheckAfter: string
}

/** Asks by id for the open items that no list brought, some at a time, and adds what is answered to `seen`. */
export async function recheck(
  { resource, source }: Pick<Watch, 'resource' | 'source'>,
  known: ReadonlyMap<string, KnownItem>,
  seen: Map<string, SeenItem>,
  after: string,
): Promise<Recheck> {
  const due = [...known.values()].filter((item) => !seen.has(item.id) && isOpen(resource, item))
  const ids = due.map(({ id }) => id).sort()
  const asked = [...ids.filter((id) => id > after), ...ids.filter((id) => id <= after)].slice(
    0,
    MOST_RECHECKS,
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
