import { ConfigError, ShapeError, UpstreamError } from '../platform/errors.ts'
import { redact } from '../platform/redact.ts'
import { isConflict } from '../platform/table.ts'
import { type ExportEngine, stamp } from './engine.ts'
import type { FileOutcome, FileRef } from './names.ts'
import {
  countName,
  Fenced,
  type FileRecord,
  isFinal,
  noRows,
  type Reject,
  type Run,
  unlessFenced,
} from './run-record.ts'
import { attemptTable } from './snapshot-table.ts'
import { createSnapshotWriter } from './snapshot-writer.ts'
import { expireOnce, openSource, type Source } from './source-rows.ts'

/** How often a file in an unknown shape is read before it counts as failed. */
const SHAPE_ATTEMPTS = 3

/**
 * Imports one whole file of a run: downloads, reads and writes it in constant memory, and records the outcome of every
 * line. Answers whether the file is done, needs another attempt, or needs a new link; throws only when storage fails.
 */
export async function importFile(engine: ExportEngine, ref: FileRef): Promise<FileOutcome> {
  const { file: number } = ref
  return unlessFenced<FileOutcome>({ file: number, state: 'done' }, async () => {
    const { runs, files, links, clock, log } = engine
    const run = await runs.requireRun(ref)
    if (run.state !== 'importing') throw new Fenced(ref.runId)
    const updatedAt = stamp(clock)
    const file = await files.update(ref, (known) =>
      isFinal(known) || known.state === 'expired'
        ? undefined
        : { ...known, state: 'importing', attempts: known.attempts + 1, updatedAt },
    )
    if (isFinal(file)) return { file: number, state: 'done' }
    // The same activity again, before its link was renewed.
    if (file.state === 'expired') return { file: number, state: 'expired' }
    const { attempts } = file

    const result = await attempt(engine, ref, run, file)
    const { state, reason } = result
    await files.update(ref, (known) => {
      // The same activity may run twice at once: a final state stays, and of the paged list only the last attempt counts.
      const isOvertaken = run.method === 'json' && known.attempts !== attempts
      if (isFinal(known) || isOvertaken) throw new Fenced(ref.runId)
      return {
        ...known,
        ...result,
        notReadyAtFirst: known.notReadyAtFirst || (state === 'not-ready' && known.attempts === 1),
        updatedAt: stamp(clock),
      }
    })
    log.info('export file attempted', { ...ref, state, reason, attempts })
    if (isFinal(result)) {
      await links.erase(ref.runId, number)
      return { file: number, state: 'done' }
    }
    return { file: number, state: state === 'expired' ? 'expired' : 'again' }
  })
}

type Result = Pick<FileRecord, 'state' | 'reason'> & Partial<FileRecord>

async function attempt(
  engine: ExportEngine,
  ref: FileRef,
  run: Run,
  file: FileRecord,
): Promise<Result> {
  try {
    const source = await openSource(engine, ref, run, file)
    if ('state' in source) return source
    const imported = await importRows(engine, ref, run, file, source)
    return { state: 'imported', reason: source.note, ...imported }
  } catch (error) {
    // A table is dropped only at the end of its run, so this run has ended.
    if (isConflict(error, 'no-table')) throw new Fenced(ref.runId)
    if (error instanceof UpstreamError) {
      const { message: reason, facts } = error
      if (facts.reason === 'forbidden-host') {
        return expireOnce(`the link leads to ${facts.said}: no file store of DEFENDER_CLOUD`, file)
      }
      return { state: facts.retryable ? 'waiting' : 'failed', reason }
    }
    if (error instanceof ConfigError) return { state: 'failed', reason: error.message }
    if (error instanceof ShapeError) {
      return { state: file.attempts < SHAPE_ATTEMPTS ? 'waiting' : 'failed', reason: error.message }
    }
    throw error
  }
}

/** Most rejected lines stored for one file, and most characters of each. */
const MAX_REJECTS = 100
const MAX_TEXT = 200

/** Writes all rows of a source into the run's snapshot and accounts for every one of them. */
async function importRows(
  engine: ExportEngine,
  ref: FileRef,
  run: Run,
  file: FileRecord,
  source: Source,
) {
  const table = source.restartsWhole
    ? await attemptTable(engine, ref, file.attempts)
    : engine.table(run.snapshot ?? '')
  const { freshness, essential } = engine.kind
  const kind = { buckets: run.buckets, freshness }
  const writer = createSnapshotWriter({ table, kind, writer: engine.writer, file: file.number })
  const unknown = new Map<string, number>()
  const rejects: Reject[] = []
  const unreadable = new Map<string, number>()
  const counts = { ...noRows }
  try {
    for await (const block of source.blocks) {
      for (const { line, text, row } of block) {
        counts.parsed += 1
        if (row.ok) {
          for (const name of row.unknownFields) countName(unknown, name)
          for (const name of row.unreadable) countName(unreadable, name)
          if (row.unreadable.some((name) => essential.has(name))) counts.unreadableRows += 1
          const full = writer.add(row.id, row.members, line)
          if (full !== undefined) await full
        } else {
          counts.rejected += 1
          if (rejects.length < MAX_REJECTS)
            rejects.push({ line, reason: row.reason, text: beginningOf(text) })
        }
      }
    }
    Object.assign(counts, await writer.finish())
  } catch (error) {
    // All writes must have ended when the next attempt begins.
    await writer.abandon()
    throw error
  }
  const unknownFields = Object.fromEntries(unknown)
  const names = { unknownFields, unreadable: Object.fromEntries(unreadable) }
  return { ...counts, ...names, bytes: source.bytes(), rejects }
}

/** Cut before the search for secrets, which takes its time, and after it. */
const beginningOf = (text: string) => redact(text.slice(0, 40 * MAX_TEXT)).slice(0, MAX_TEXT)
