import type { NewEvent } from '../events/event.ts'
import type { ExportKind } from '../exports/kind.ts'
import type { Run } from '../exports/run-record.ts'
import { freshness, readDevice } from './record.ts'

/** Name of this export in the ledger and in answers. */
export const AV_HEALTH = 'av-health'

/** What the engine needs of the upstream to export antivirus health. */
type AvHealthSource = Pick<ExportKind, 'listFiles' | 'openFile' | 'pages'>

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

/** The type of the event that tells of a published snapshot. */
export const SNAPSHOT_PUBLISHED = 'defender-relay.av-health.snapshot.published'

/** What tells that a snapshot was published. */
export function publishedEvent(run: Run, source: string, now: Date): NewEvent {
  const { runId, generatedTime, method, written: devices } = run
  const { listed, imported, failed, parsed, written, duplicates, rejected } = run
  const detectedAt = now.toISOString()
  return {
    item: runId,
    version: 1,
    type: SNAPSHOT_PUBLISHED,
    source,
    time: detectedAt,
    detectedAt,
    data: {
      runId,
      generatedTime,
      method,
      devices,
      counts: { listed, imported, failed, parsed, written, duplicates, rejected },
    },
  }
}
