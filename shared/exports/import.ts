import { ShapeError, UpstreamError } from '../platform/errors.ts'
import { redact } from '../platform/redact.ts'
import { isConflict } from '../platform/table.ts'
import { type ExportEngine, stamp } from './engine.ts'
import type { FileOutcome, FileRef } from './names.ts'
import {
  Fenced,
  type FileRecord,
  type FileState,
  noRows,
  type Reject,
  type RowCounts,
  type Run,
  unlessFenced,
} from './run-record.ts'
import { attemptTable } from './snapshot-table.ts'
import { createSnapshotWriter } from './snapshot-writer.ts'
import { openSource, type Source } from './source-rows.ts'

/** How often a file that the upstream sends in an unknown shape is read before it has failed. */
const SHAPE_ATTEMPTS = 3

/**
 * Imports one file of a run, whole: downloads, reads and writes it in constant memory, and writes down what became of every
 * line. Answers whether it is done, is to be tried again, or needs a new link; it throws only when storage fails.
 */
export async function importFile(engine: ExportEngine, ref: FileRef): Promise<FileOutcome> {
  const { file: number } = ref
  return unlessFenced<FileOutcome>({ file: number, state: 'done' }, async () => {
    const { runs, files, clock, log } = engine
    const run = await runs.run(ref.runId)
    if (!run || run.epoch !== ref.epoch || run.state !== 'importing') throw new Fenced(ref.runId)
    const updatedAt = stamp(clock)
    const file = await files.update(ref, (known) =>
      isFinal(known)
        ? undefined
        : { ...known, state: 'importing', attempts: known.attempts + 1, updatedAt },
    )
    if (isFinal(file)) return { file: number, state: 'done' }

    const result = await attempt(engine, ref, run, file)
    const final = result.state === 'imported' || result.state === 'failed'
    await files.update(ref, (known) => {
      // The same activity may run twice at once: what is final stays, and of the paged list only the last attempt counts.
      const isOvertaken = run.method === 'json' && known.attempts !== file.attempts
      if (isFinal(known) || isOvertaken) throw new Fenced(ref.runId)
      return {
        ...known,
        ...result,
        // A link is a secret: it goes as soon as nobody needs it.
        link: final ? null : known.link,
        notReadyAtFirst:
          known.notReadyAtFirst || (result.state === 'not-ready' && known.attempts === 1),
        updatedAt: stamp(clock),
      }
    })
    log.info('export file attempted', {
      ...ref,
      state: result.state,
      reason: result.reason,
      attempts: file.attempts,
    })
    if (final) return { file: number, state: 'done' }
    return { file: number, state: result.state === 'expired' ? 'expired' : 'again' }
  })
}

const isFinal = ({ state }: FileRecord) => state === 'imported' || state === 'failed'

type Result = { state: FileState; reason: string | null } & Partial<Imported>

async function attempt(
  engine: ExportEngine,
  ref: FileRef,
  run: Run,
  file: FileRecord,
): Promise<Result> {
  try {
    const source = await openSource(engine, ref, run, file)
    if ('state' in source) return source
    return {
      state: 'imported',
      reason: source.note,
      ...(await importRows(engine, ref, run, file, source)),
    }
  } catch (error) {
    // Only the end of a run drops its table: this run is over, whoever ended it.
    if (isConflict(error, 'no-table')) throw new Fenced(ref.runId)
    if (error instanceof UpstreamError) {
      // The app was pointed elsewhere since the listing: new links may lead where it may go now.
      if (error.facts.reason === 'forbidden-host')
        return { state: 'expired', reason: error.message }
      return { state: error.facts.retryable ? 'waiting' : 'failed', reason: error.message }
    }
    if (error instanceof ShapeError) {
      return { state: file.attempts < SHAPE_ATTEMPTS ? 'waiting' : 'failed', reason: error.message }
    }
    throw error
  }
}

/** Most rejected lines kept of one file, and most characters of each. */
const MAX_REJECTS = 100
const MAX_TEXT = 200
/** Most names of unknown fields counted in one file. */
const MAX_NAMES = 200

/** What became of a file's rows. */
type Imported = RowCounts & {
  bytes: number
  unknownFields: Record<string, number>
  rejects: Reject[]
}

/** Writes all rows of a source into the run's snapshot and accounts for every one of them. */
async function importRows(
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
            if (unknown.has(name) || unknown.size < MAX_NAMES) count(unknown, name)
          await writer.add(row.id, row.columns, line, size)
        } else {
          counts.rejected += 1
          if (rejects.length < MAX_REJECTS)
            rejects.push({ line, reason: row.reason, text: redact(text).slice(0, MAX_TEXT) })
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
