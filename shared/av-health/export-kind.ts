import type { ExportKind } from '../exports/export-kind.ts'
import { freshness, readDevice } from './record.ts'

/** Name of this export in the ledger and in answers. */
export const AV_HEALTH = 'av-health'

/** What the engine needs of the upstream to export antivirus health. */
export type AvHealthSource = Pick<ExportKind, 'listFiles' | 'openFile' | 'pages'>

/** The antivirus-health export of Defender for Endpoint, by files or as a paged list. */
export function createAvHealthExport(
  source: AvHealthSource,
  options: Pick<ExportKind, 'method' | 'buckets'>,
): ExportKind {
  return {
    name: AV_HEALTH,
    ...options,
    ...source,
    snapshotTable: (runId) => `AvHealthSnapshot${runId}`,
    readFileRow: readDevice,
    readPageRow: readDevice,
    freshness,
  }
}
