import type { ForcedAnswer } from '../faults.ts'
import type { HistoryShape } from './spell-defender-scan.ts'
import type { TenableRefusal } from './tenable-refusal.ts'

/** What a Tenable route answers instead of its answer: one of its own refusals, or something broken as `ForcedAnswer` knows it. */
export interface TenableFault extends Omit<ForcedAnswer, 'answer'> {
  answer: TenableRefusal | Extract<ForcedAnswer['answer'], string>
}

/** What can go wrong with look-ups of scans, and what nobody has confirmed of their answers. */
export interface ScanFaults {
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
export const usualScanFaults: ScanFaults = {
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
