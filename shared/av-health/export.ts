import type { ExportKind } from '../exports/kind.ts'
import { essentialColumns } from './fields.ts'
import { createFleet } from './fleet.ts'
import { freshness, readDevice } from './record.ts'
import type { Thresholds } from './transitions.ts'

/** The name of this export in the ledger and in answers. */
export const AV_HEALTH = 'av-health'

/** Makes the antivirus-health export of Defender for Endpoint; its rows come from files or from a paged list. */
export function createAvHealthExport(
  source: Pick<ExportKind, 'listFiles' | 'openFile' | 'pages'>,
  { thresholds, ...options }: Pick<ExportKind, 'method' | 'buckets'> & { thresholds: Thresholds },
): ExportKind {
  return {
    name: AV_HEALTH,
    ...options,
    ...source,
    fleet: createFleet(thresholds),
    snapshotTable: (runId) => `AvHealthSnapshot${runId}`,
    readRow: readDevice,
    essential: essentialColumns,
    freshness,
  }
}
