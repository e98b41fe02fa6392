import { type ItemFaults, usualItemFaults } from './items/item-faults.ts'
import { type ScanFaults, usualScanFaults } from './scans/scan-faults.ts'

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

/** What can go wrong upstream; `nth file` counts files with rows in list order. */
export interface Faults extends ItemFaults, ScanFaults {
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
  ...usualItemFaults,
  ...usualScanFaults,
}

/** Nothing goes wrong and nothing is odd. */
export const noFaults: Faults = {
  ...usualFaults,
  notReadyFiles: 0,
  shortLivedLinks: 0,
  legalWeird: false,
}
