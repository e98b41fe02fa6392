import type { NewEvent } from '../events/event.ts'
import type { ExportKind } from '../exports/kind.ts'
import type { Run } from '../exports/run-record.ts'
import { viewCounts } from '../exports/view.ts'
import { essentialColumns } from './fields.ts'
import { freshness, readDevice } from './record.ts'

/** The name of this export in the ledger and in answers. */
export const AV_HEALTH = 'av-health'

/** Makes the antivirus-health export of Defender for Endpoint; its rows come from files or from a paged list. */
export function createAvHealthExport(
  source: Pick<ExportKind, 'listFiles' | 'openFile' | 'pages'>,
  options: Pick<ExportKind, 'method' | 'buckets'>,
): ExportKind {
  return {
    name: AV_HEALTH,
    ...options,
    ...source,
    snapshotTable: (runId) => `AvHealthSnapshot${runId}`,
    readRow: readDevice,
    essential: essentialColumns,
    freshness,
  }
}

/** The type of the event for a published snapshot. */
export const SNAPSHOT_PUBLISHED = 'defender-relay.av-health.snapshot.published'

/** The event for a published snapshot. */
export function publishedEvent(run: Run, source: string, now: Date): NewEvent {
  const { runId, generatedTime, method, written: devices, devicesBefore, unreadable } = run
  const detectedAt = now.toISOString()
  return {
    item: runId,
    version: 1,
    type: SNAPSHOT_PUBLISHED,
    source,
    time: detectedAt,
    detectedAt,
    data: {
      ...{ runId, generatedTime, method, devices, devicesBefore, unreadable },
      counts: viewCounts(run),
    },
  }
}
