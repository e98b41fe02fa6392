import { redact } from '../platform/redact.ts'
import { attemptTable } from './attempt-table.ts'
import type { ExportEngine } from './engine.ts'
import type { FileRef } from './names.ts'
import { type FileRecord, noRows, type Reject, type RowCounts, type Run } from './run-record.ts'
import { createSnapshotWriter } from './snapshot-writer.ts'
import type { Source } from './source-rows.ts'

/** Most rejected lines kept of one file, and most characters of each. */
const MOST_REJECTS = 100
const MOST_TEXT = 200
/** Most names of unknown fields counted in one file. */
const MOST_NAMES = 200

/** What became of a file's rows. */
export type Imported = RowCounts & {
  bytes: number
  unknownFields: Record<string, number>
  rejects: Reject[]
}

/** Writes all rows of a source into the run's snapshot and accounts for every one of them. */
export async function importRows(
  engine: ExportEngine,
  ref: FileRef,
  run: Run,
  file: FileRecord,
  source: Source,
): Promise<Imported> {
  const table = source.restartsWhole
    ? await attemptTable(engine, ref, file.attempts)
    : engine.table(run.snapshot ?? '')
  const { freshness } = engine.kind
  const kind = { buckets: run.buckets, freshness }
  const writer = createSnapshotWriter({ table, kind, writer: engine.writer, file: file.number })
  const unknown = new Map<string, number>()
  const rejects: Reject[] = []
  const counts = { ...noRows }
  try {
    for await (const block of source.blocks) {
      for (const { line, text, size, row } of block) {
        counts.parsed += 1
        if (row.ok) {
          for (const name of row.unknownFields)
            if (unknown.has(name) || unknown.size < MOST_NAMES) count(unknown, name)
          await writer.add(row.id, row.columns, line, size)
        } else {
          counts.rejected += 1
          if (rejects.length < MOST_REJECTS)
            rejects.push({ line, reason: row.reason, text: redact(text).slice(0, MOST_TEXT) })
        }
      }
    }
    Object.assign(counts, await writer.finish())
  } catch (error) {
    // Nothing may still be writing when the next attempt begins.
    await writer.abandon()
    throw error
  }
  return { ...counts, bytes: source.bytes(), unknownFields: Object.fromEntries(unknown), rejects }
}

function count(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1)
}
