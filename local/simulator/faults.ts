import type { DefenderScanVariant, TenableVariant } from './scans/variants.ts'
import type { SpoiledRows } from './spoil.ts'

/**
 * What a route answers instead of its normal answer: a status, a gateway's HTML page (`html-200`: with status 200), nothing,
 * JSON that ends early in a complete answer (`broken-json`), an answer that is cut off (`truncated`), or a lost connection.
 */
export interface ForcedAnswer {
  answer:
    | (400 | 401 | 403 | 404 | 410 | 429 | 500 | 503)
    | ('html' | 'html-200' | 'timeout' | 'broken-json' | 'truncated' | 'reset')
    | ('deep-json' | 'unknown-encoding')
  /** How many calls get this fault; counts down. */
  calls: number
  /** How many calls are answered normally first; counts down. */
  passFirst?: number
  /** Seconds in the `Retry-After` of a 429; 7 when absent. */
  retryAfterSeconds?: number
}

/** The ways in which Tenable refuses a call. */
export type TenableRefusal =
  | ('bad-request' | 'unauthorized' | 'forbidden' | 'not-found' | 'no-such-path')
  | ('rate' | 'concurrency' | 'duplicate-export' | 'duplicate-export-in-pieces')
  | ('server-error' | 'gateway-timeout')

/** What a Tenable route answers instead of its normal answer: one of Tenable's refusals, or a broken answer. */
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

/** The faults of the upstreams, and the variants of answers that are not confirmed. `nth file` counts files with rows in list order. */
export interface Faults {
  /** This number of files, from the first on, are empty until `notReadySeconds` after their snapshot's first listing. */
  notReadyFiles: number
  notReadySeconds: number
  /** This number of links at the end of a snapshot's first listing have already expired; later listings are good. */
  shortLivedLinks: number
  /** Links are signed with a user delegation key: short-lived ones then expire with the key (`ske`), not at `se`. */
  userDelegation: boolean
  /** How many files are damaged inside, how many of the next ones end early, and how many of the next ones are not gzip. */
  badGzip: number
  truncatedGzip: number
  nonGzip: number
  /** How many downloads are cut off in the middle; counts down. */
  dropMidway: number
  /** The list of files is empty. */
  emptyList: boolean
  /** `generatedTime` is null. */
  nullGeneratedTime: boolean
  /** The next listing shows a new snapshot, six hours later; set back to false after that. */
  changeGeneratedTime: boolean
  /** Values of rows in a form that is not documented. */
  spoiledRows: SpoiledRows | null
  /** This number of files are empty though their copy has ended, the one with the most rows first. */
  emptyFiles: number
  /** The files are of another form. */
  fileForm: 'csv' | 'zip' | null
  /** Links lead to this origin. */
  linkOrigin: string | null
  exportStatus: ForcedAnswer | null
  jsonStatus: ForcedAnswer | null
  blobStatus: ForcedAnswer | null
  tokenStatus: ForcedAnswer | null
  /** The JSON method shows each device once. */
  rowsOnce: boolean
  /** The JSON method's full pages come without a link to the next one. */
  missingNextLink: boolean
  /** Bytes of a file per second of the clock; 0 for no limit. */
  slowBytesPerSecond: number
  /** Files are sent without a length, in this number of pieces with a pause of the clock between them. */
  chunkedPauses: { pieces: number; pauseMs: number } | null
  /** In rotation: CRLF, byte order mark, blank lines at the end, a gzip member that ends inside a line, no last line end. */
  legalWeird: boolean

  // Lists of machine actions and investigations.

  /** Instead of a list. */
  machineActionsStatus: ForcedAnswer | null
  investigationsStatus: ForcedAnswer | null
  /** Instead of an item that is requested by its id. */
  machineActionStatus: ForcedAnswer | null
  investigationStatus: ForcedAnswer | null
  /** What happens to a filter on a field that is not documented as filterable. */
  undocumentedFilters: 'refused' | 'evaluated'
  /** Whether a page that is not the last one links to the next. */
  itemPaging: 'nextLink' | 'skip-only'
  /** Rows of a page without `$top`. */
  defaultPageRows: number
  /** Rows of a page at most, whatever `$top` asks for (which may be 10,000). */
  mostPageRows: number
  /** `$orderby` and `$count` are not documented. */
  orderAndCount: 'honoured' | 'ignored'
  /** Lists show a row this long after its creation; a request by id shows it immediately. */
  lateSeconds: number
  /** One of this number of calls is answered by a replica that is behind. */
  staleReplica: { everyCalls: number; lagSeconds: number } | null
  /** How many requests for existing items are answered 404; counts down. */
  missedItems: number
  /** The name of the field with the last update: as on the wire, or as in the sample of the list's page. */
  updateTimeName: 'lastUpdateDateTimeUtc' | 'lastUpdateTimeUtc'
  /** Links to the next page lose the names of their parameters, and always have the same `$skip`. */
  namelessLinks: boolean
  /** So many rows have left the front of a list when its second page is asked for. */
  leavingRows: number
  /** Lists have every item, whatever was asked for. */
  ignoredFilter: boolean
  /** Ids are in capitals. */
  capitalIds: boolean
  /** Actions that have ended show an update time that is so many seconds too early. */
  earlyEndSeconds: number
  /** Open items are in no list, and requests by id answer 404. */
  unknownOpenItems: boolean
  /** Lists come from a cache that is so old; requests by id do not. */
  cachedListSeconds: number
  /** Every action is a live response: a script with arguments, of which one command failed. */
  liveResponses: boolean
  /** Creation times are words. */
  creationWords: boolean
  /** Comments of 20,000 characters. */
  longComments: boolean

  // Look-ups of scans.

  /** Instead of Defender's answer to both look-ups of scan histories. */
  scanHistoryStatus: ForcedAnswer | null
  scanDefinitionsStatus: ForcedAnswer | null
  /** How Defender writes histories; `documented` is one sample for sessions and another for definitions. */
  scanHistoryShape: HistoryShape
  /** A sample has `Partial Success`, the metadata has `PartialSuccess`. */
  scanStatusWords: 'spaced' | 'joined'
  /** Instead of any of Tenable's answers. */
  tenableStatus: TenableFault | null
  /** Instead of the answer of one of Tenable's routes. */
  tenableDetailsStatus: TenableFault | null
  tenableHistoryStatus: TenableFault | null
  tenableLatestStatus: TenableFault | null
  tenableScansStatus: TenableFault | null
  /** Calls a minute of a key pair that Tenable allows; 0 for no limit. Tenable publishes no number. */
  tenableCallsPerMinute: number
  /** Concurrent calls that Tenable allows; 0 for no limit. */
  tenableCallsAtOnce: number
  /** The order of runs in a request without `sort`, which is not documented. */
  unsortedRuns: 'newest-first' | 'oldest-first'
  /** How long each look-up of scans takes by the clock, at both upstreams. */
  slowScanSeconds: number
  /** What is odd in Tenable's answers, and in Defender's about scans. */
  tenableVariant: TenableVariant | null
  defenderScanVariant: DefenderScanVariant | null
  /** How the answers of both are packed, or said to be packed. */
  scanEncoding: 'deflate' | 'zstd' | null
}

/** The faults that occur on every normal day. */
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
  spoiledRows: null,
  emptyFiles: 0,
  fileForm: null,
  linkOrigin: null,
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
  namelessLinks: false,
  leavingRows: 0,
  ignoredFilter: false,
  capitalIds: false,
  earlyEndSeconds: 0,
  unknownOpenItems: false,
  cachedListSeconds: 0,
  liveResponses: false,
  creationWords: false,
  longComments: false,
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
  tenableVariant: null,
  defenderScanVariant: null,
  scanEncoding: null,
}

/** No faults and no variants. */
export const noFaults: Faults = {
  ...usualFaults,
  notReadyFiles: 0,
  shortLivedLinks: 0,
  legalWeird: false,
}
