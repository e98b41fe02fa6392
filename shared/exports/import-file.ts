import { ShapeError, UpstreamError } from '../platform/errors.ts'
import { isRefusal } from '../platform/table.ts'
import { type ExportEngine, stamp } from './engine.ts'
import { Fenced, unlessFenced } from './fence.ts'
import { type Imported, importRows } from './import-rows.ts'
import type { FileOutcome, FileRef } from './names.ts'
import type { FileRecord, FileState, Run } from './run-record.ts'
import { openSource } from './source-rows.ts'

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
        ? known
        : { ...known, state: 'importing', attempts: known.attempts + 1, updatedAt },
    )
    if (isFinal(file)) return { file: number, state: 'done' }

    const result = await attempt(engine, ref, run, file)
    const { rejects, ...columns } = result
    const final = result.state === 'imported' || result.state === 'failed'
    await files.update(
      ref,
      (known) => {
        // The same activity may run twice at once: what is final stays, and of the paged list only the last attempt counts.
        const isOvertaken = run.method === 'json' && known.attempts !== file.attempts
        if (isFinal(known) || isOvertaken) throw new Fenced(ref.runId)
        return {
          ...known,
          ...columns,
          // A link is a secret: it goes as soon as nobody needs it.
          link: final ? null : known.link,
          notReadyAtFirst:
            known.notReadyAtFirst || (result.state === 'not-ready' && known.attempts === 1),
          updatedAt: stamp(clock),
        }
      },
      rejects,
    )
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
    if (isRefusal(error, 'no-table')) throw new Fenced(ref.runId)
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
