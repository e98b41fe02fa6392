/**
 * What a route answers instead of its answer: a status, a gateway's HTML page (`html-200`: with status 200), nothing at all,
 * JSON that ends early in an answer that is whole (`broken-json`) or breaks off (`truncated`), or a lost connection.
 */
export interface ForcedAnswer {
  answer:
    | (400 | 401 | 403 | 404 | 410 | 429 | 500 | 503)
    | ('html' | 'html-200' | 'timeout' | 'broken-json' | 'truncated' | 'reset')
  /** How many calls are answered so; counts down. */
  calls: number
  /** So many calls are answered as usual before; counts down. */
  passFirst?: number
  /** What a 429 asks for; 7 when absent. */
  retryAfterSeconds?: number
}

/** The ways in which Tenable refuses a call. */
export type TenableRefusal =
  | ('bad-request' | 'unauthorized' | 'forbidden' | 'not-found' | 'no-such-path')
  | ('rate' | 'concurrency' | 'duplicate-export' | 'duplicate-export-in-pieces')
  | ('server-error' | 'gateway-timeout')

/** What a Tenable route answers instead of its answer: one of Tenable's refusals, or something broken. */
export interface TenableFault extends Omit<ForcedAnswer, 'answer'> {
  answer: TenableRefusal | Extract<ForcedAnswer['answer'], string>
}

/**
 * How a scan history is written: as in the sample of either page, as the service's metadata declares it, or with one
 * target as an object in place of a list.
 */
export type HistoryShape =
  | 'documented'
  | 'session-sample'
  | 'definition-sample'
  | 'metadata'
  | 'one-target'

/** What can go wrong upstream, and what nobody has confirmed of its answers. `nth file` counts files with rows in list order. */
export interface Faults {
  /** The first so many files hold nothing until `notReadySeconds` after their snapshot's first listing. */
  notReadyFiles: number
  notReadySeconds: number
  /** So many links at the end of a snapshot's first listing are over at once; later listings are good. */
  shortLivedLinks: number
  /** Links are signed with a user delegation key; short-lived ones are then cut by the key's end (`ske`), not by `se`. */
  userDelegation: boolean
  /** So many files are damaged inside, the next ones end early, the next ones are not packed at all. */
  badGzip: number
  truncatedGzip: number
  nonGzip: number
  /** So many downloads are cut in the middle; counts down. */
  dropMidway: number
  /** The list of files is empty. */
  emptyList: boolean
  /** `generatedTime` is null. */
  nullGeneratedTime: boolean
  /** The next listing brings a new snapshot, six hours later; switches itself off. */
  changeGeneratedTime: boolean
  exportStatus: ForcedAnswer | null
  jsonStatus: ForcedAnswer | null
  blobStatus: ForcedAnswer | null
  tokenStatus: ForcedAnswer | null
  /** The JSON method shows each device once. */
  rowsOnce: boolean
  /** The JSON method's full pages come without a link to the next one. */
  missingNextLink: boolean
  /** Bytes of a file a second of the clock; 0 for no limit. */
  slowBytesPerSecond: number
  /** Files come without a length, in so many pieces with a pause of the clock between them. */
  chunkedPauses: { pieces: number; pauseMs: number } | null
  /** By turns: CRLF, byte order mark, blank lines at the end, a gzip member that ends inside a line, no last line end. */
  legalWeird: boolean

  // Lists of machine actions and investigations.

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

  // Look-ups of scans.

  /** Instead of Defender's answer to either look-up of scan histories. */
  scanHistoryStatus: ForcedAnswer | null
  scanDefinitionsStatus: ForcedAnswer | null
  /** How Defender writes histories; `documented` is one sample for sessions and another one for definitions. */
  scanHistoryShape: HistoryShape
  /** `Partial Success` stands in a sample, `PartialSuccess` in the metadata. */
  scanStatusWords: 'spaced' | 'joined'
  /** Instead of any of Tenable's answers. */
  tenableStatus: TenableFault | null
  /** Instead of the answer of one of Tenable's routes. */
  tenableDetailsStatus: TenableFault | null
  tenableHistoryStatus: TenableFault | null
  tenableLatestStatus: TenableFault | null
  tenableScansStatus: TenableFault | null
  /** Calls a minute for a key pair before Tenable refuses; 0 for no limit. Tenable publishes no number. */
  tenableCallsPerMinute: number
  /** Calls under way at a time before Tenable refuses; 0 for no limit. */
  tenableCallsAtOnce: number
  /** Nobody documents the order of runs that were not asked for in one. */
  unsortedRuns: 'newest-first' | 'oldest-first'
  /** Look-ups of scans, upstream and source alike, take so long by the clock. */
  slowScanSeconds: number
}

/** What happens on every good day. */
export const usualFaults: Faults = {
  notReadyFiles: 1,
  notReadySeconds: 5,
  shortLivedLinks: 1,
  userDelegation: false,
  badGzip: 0,
  truncatedGzip: 0,
  nonGzip: 0,
  dropMidway: 0,
  emptyList: false,
  nullGeneratedTime: false,
  changeGeneratedTime: false,
  exportStatus: null,
  jsonStatus: null,
  blobStatus: null,
  tokenStatus: null,
  rowsOnce: false,
  missingNextLink: false,
  slowBytesPerSecond: 0,
  chunkedPauses: null,
  legalWeird: true,
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
  scanHistoryStatus: null,
  scanDefinitionsStatus: null,
  scanHistoryShape: 'documented',
  scanStatusWords: 'spaced',
  tenableStatus: null,
  tenableDetailsStatus: null,
  tenableHistoryStatus: null,
  tenableLatestStatus: null,
  tenableScansStatus: null,
  tenableCallsPerMinute: 0,
  tenableCallsAtOnce: 0,
  unsortedRuns: 'newest-first',
  slowScanSeconds: 0,
}

/** Nothing goes wrong and nothing is odd. */
export const noFaults: Faults = {
  ...usualFaults,
  notReadyFiles: 0,
  shortLivedLinks: 0,
  legalWeird: false,
}
