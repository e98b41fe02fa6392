import { type ItemData, seenData, toItemData, toKnown } from './item-row.ts'
import { type KnownItem, openSince } from './known-item.ts'
import { readReport } from './poll-report.ts'
import { isTerminal } from './resource.ts'
import type { Watch } from './watch.ts'

/** An item as answers show it: the promised fields, where it stands, and since when. */
export interface ItemView extends Record<string, unknown> {
  id: string
  resource: string
  version: number
  state: string
  terminal: boolean
  openSince: string | null
  lastCheckedAt: string | null
}

/** Shows an item of the working set. */
export function viewItem(
  { resource }: Pick<Watch, 'resource'>,
  known: KnownItem,
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

/** An item of the working set; undefined for one that is not in it. */
export async function findKnown(
  watch: Pick<Watch, 'resource' | 'feed'>,
  id: string,
): Promise<ItemView | undefined> {
  const { resource, feed } = watch
  const columns = await feed.item(resource.name, id)
  if (!columns) return undefined
  const report = await readReport(watch)
  return viewItem(watch, toKnown(id, columns), toItemData(columns), report?.endedAt ?? null)
}

/** An item as the upstream has it now; undefined when it knows none of this id. On investigations the id may be an alert's. */
export async function askUpstream(
  { resource, source, over, clock }: Watch,
  id: string,
): Promise<ItemView | undefined> {
  const raw = await over(() => source.get(id))
  const seen = raw === undefined ? undefined : resource.read(raw)
  if (!seen) return undefined
  const now = clock.now().toISOString()
  const known: KnownItem = {
    id: seen.id,
    state: seen.state,
    version: 0,
    createdAt: seen.createdAt,
    updatedAt: seen.updatedAt,
    firstSeenAt: now,
    changedAt: now,
    overdueTold: false,
    missingSince: null,
    doubted: null,
    gone: null,
  }
  return viewItem({ resource }, known, seenData(resource, seen), now)
}
