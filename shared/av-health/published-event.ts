import type { NewEvent } from '../events/event.ts'
import type { Run } from '../exports/run-record.ts'

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
