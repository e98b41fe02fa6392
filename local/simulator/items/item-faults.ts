import type { ForcedAnswer } from '../faults.ts'

/** What can go wrong with machine actions and investigations, and what nobody has confirmed of their lists. */
export interface ItemFaults {
  /** Instead of a list. */
  machineActionsStatus: ForcedAnswer | null
  investigationsStatus: ForcedAnswer | null
  /** Instead of an item that is asked for by its id. */
  machineActionStatus: ForcedAnswer | null
  investigationStatus: ForcedAnswer | null
  /** A filter over a field that is not documented as filterable. */
  undocumentedFilters: 'refused' | 'evaluated'
  /** Whether a page that is not the last one links to the next. */
  itemPaging: 'nextLink' | 'skip-only'
  /** Rows of a page without `$top`. */
  defaultPageRows: number
  /** Rows of a page at most, whatever `$top` asks for (which may be 10,000). */
  mostPageRows: number
  /** Nobody documents `$orderby` and `$count`. */
  orderAndCount: 'honoured' | 'ignored'
  /** Rows stand in lists only so long after their creation; at once by id. */
  lateSeconds: number
  /** Each so many calls one is answered by a replica that lags behind. */
  staleReplica: { everyCalls: number; lagSeconds: number } | null
  /** So many items that exist are answered 404 by their id; counts down. */
  missedItems: number
  /** What the time of the last update is called: on the wire, or in the list page's sample. */
  updateTimeName: 'lastUpdateDateTimeUtc' | 'lastUpdateTimeUtc'
}

/** What happens on every good day. */
export const usualItemFaults: ItemFaults = {
  machineActionsStatus: null,
  investigationsStatus: null,
  machineActionStatus: null,
  investigationStatus: null,
  undocumentedFilters: 'refused',
  itemPaging: 'nextLink',
  defaultPageRows: 50,
  mostPageRows: 10_000,
  orderAndCount: 'honoured',
  lateSeconds: 0,
  staleReplica: null,
  missedItems: 0,
  updateTimeName: 'lastUpdateDateTimeUtc',
}
