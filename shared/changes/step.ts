import type { Feed } from '../events/feed.ts'
import type { Step } from '../events/feed-rows.ts'
import type { Log } from '../platform/log.ts'
import { toTimeText } from '../platform/time-text.ts'
import { type Change, limitOf } from './detect.ts'
import { type ItemData, seenData, toItemColumns, toItemData } from './item-row.ts'
import { openSince } from './known-item.ts'
import { isTerminal, type Resource } from './resource.ts'

/** What a step is made with. */
interface StepParts {
  resource: Resource
  feed: Pick<Feed, 'item'>
  log: Pick<Log, 'correlation'>
  overdueHours: number
}

/** The write of a change: the item as it is now and, where there is something to tell, its event. */
export async function toStep(
  parts: StepParts,
  change: Change,
  tenantId: string | null,
  now: Date,
): Promise<Step> {
  const { resource, feed, log } = parts
  const { id, item, seen, kind } = change
  if (!item) return { item: { id, columns: null } }
  // Without an answer of the upstream the last one stays: rows are written whole.
  const data = seen
    ? seenData(resource, seen)
    : toItemData((await feed.item(resource.name, id)) ?? {})
  const step: Step = { item: { id, columns: toItemColumns(item, data) } }
  if (!kind) return step
  const detectedAt = now.toISOString()
  const told =
    seen && kind !== 'gone' && kind !== 'overdue' ? resource.timeOf(seen, kind) : undefined
  step.event = {
    item: id,
    version: item.version,
    type: `${resource.eventPrefix}.${kind}`,
    source: `/tenants/${tenantId ?? 'unknown'}/defender/${resource.name}`,
    // A text that is no time would make the event one that no receiver can parse.
    time: toTimeText(told ?? '') ?? detectedAt,
    detectedAt,
    data: toEventData(parts, change, data),
    correlation: log.correlation,
  }
  return step
}

function toEventData(
  { resource, overdueHours }: StepParts,
  change: Change,
  { fields, raw }: ItemData,
): Record<string, unknown> {
  const { id, item, from, to, reason, kind } = change
  const state = to ?? from ?? ''
  const overdue =
    kind === 'overdue' && item
      ? { openSince: openSince(item), limitHours: limitOf(resource, item.state, overdueHours) }
      : {}
  return {
    id,
    resource: resource.name,
    version: item?.version ?? 0,
    from,
    to,
    terminal: isTerminal(resource, state),
    reason,
    ...fields,
    ...overdue,
    item: raw,
    ...(raw === null ? { itemOmitted: true } : {}),
  }
}
