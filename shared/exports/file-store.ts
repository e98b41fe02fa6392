import { createHash } from 'node:crypto'
import { z } from 'zod'
import { isConflict, type Operation, type Query, type Table } from '../platform/table.ts'
import { createRecords, rowCodec } from '../platform/table-record.ts'
import type { ListedFile } from './kind.ts'
import type { FileRef, RunRef } from './names.ts'
import { Fenced, type FileRecord, fileRow, newFile } from './run-record.ts'

/** What is kept of every file of a run, one partition a run of table `Exports`. */
export type FileLedger = ReturnType<typeof createFileLedger>

/** Opens the file rows of a kind's runs. */
export function createFileLedger(table: Table, kind: string) {
  const records = createRecords(table, fileRow)
  const partition = (runId: string) => `${kind}|${runId}`
  const key = (runId: string, number: number) => ({
    partitionKey: partition(runId),
    rowKey: String(number).padStart(6, '0'),
  })

  async function* list(runId: string, after = 0): AsyncGenerator<FileRecord> {
    const { rowKey: from } = key(runId, after + 1)
    for await (const { rowKey, columns } of table.list({ ...fileRows(partition(runId)), from }))
      yield { number: Number(rowKey), ...fileRow.read(columns) }
  }

  /** Changes a file, or leaves it; throws `Fenced` for another epoch, and with `mayRaise` for an older one only. */
  async function update(
    { runId, epoch, file: number }: FileRef,
    decide: (file: FileRecord) => FileRecord | undefined,
    mayRaise = false,
  ): Promise<FileRecord> {
    const updated = await records.update(key(runId, number), (known) => {
      if (!known || (mayRaise ? known.epoch > epoch : known.epoch !== epoch))
        throw new Fenced(runId)
      const file = decide({ number, ...known })
      return file && { ...file, epoch }
    })
    if (!updated) throw new Fenced(runId)
    return { number, ...updated.record }
  }

  return {
    list,

    update,

    all: (runId: string): Promise<FileRecord[]> => Array.fromAsync(list(runId)),

    /**
     * Writes the rows of a listing; numbers begin at 1, in the order of the list. Rows of an earlier listing are forgotten.
     * Throws `Fenced` when another listing of the run is newer, or complete.
     */
    async write(ref: RunRef, files: ListedFile[]): Promise<void> {
      const set = await openFileSet(table, partition(ref.runId), ref)
      const surplus = await Array.fromAsync(
        table.list({
          ...fileRows(partition(ref.runId)),
          from: key(ref.runId, files.length + 1).rowKey,
          select: ['state'],
        }),
      )
      await set.write([
        ...surplus.map(({ partitionKey, rowKey }) => ({
          kind: 'delete' as const,
          partitionKey,
          rowKey,
        })),
        ...files.map(({ path, link }, index) =>
          records.overwrite(key(ref.runId, index + 1), newFile(ref.epoch, path, link)),
        ),
      ])
    },

    /** Forgets the files of a run. */
    async clear(runId: string): Promise<void> {
      const rows = await Array.fromAsync(
        table.list({ partitionKey: partition(runId), select: ['epoch'] }),
      )
      for (let start = 0; start < rows.length; start += 100) {
        const batch = rows.slice(start, start + 100)
        await table.transact(
          batch.map(({ partitionKey, rowKey }) => ({ kind: 'delete', partitionKey, rowKey })),
        )
      }
    },

    /** Takes the files into an epoch, so that whoever works in an older one is fenced. */
    async raise(ref: RunRef): Promise<void> {
      await closeFileSet(table, partition(ref.runId), ref)
      for await (const file of list(ref.runId)) {
        if (file.epoch < ref.epoch)
          await update({ ...ref, file: file.number }, (same) => same, true)
      }
    },

    /** Erases every link that is left, and takes the files into the epoch: nobody older can bring another one. */
    async eraseLinks(ref: RunRef): Promise<void> {
      await closeFileSet(table, partition(ref.runId), ref)
      for await (const file of list(ref.runId)) {
        if (file.link || file.epoch < ref.epoch)
          await update({ ...ref, file: file.number }, (known) => ({ ...known, link: null }), true)
      }
    },
  }
}

/** Who may list the files of a run: a row beside theirs, changed in every transaction that adds or takes away a file. */
const GUARD = 'listing'
const guardRow = rowCodec(z.object({ epoch: z.number(), closed: z.boolean() }))

/** Most operations of one transaction, less the guard's. */
const FULL = 99

/** The rows of a run's files, without the guard beside them. */
const fileRows = (partitionKey: string): Query => ({ partitionKey, before: GUARD })

/**
 * Opens the set of a run's files to be written anew: whoever opened it before fails at its next write. Throws `Fenced` when
 * the set was opened in a newer epoch, or is complete in this one.
 */
async function openFileSet(table: Table, partitionKey: string, ref: RunRef) {
  const guards = createRecords(table, guardRow)
  let etag = await takeGuard(table, partitionKey, ref, false)
  return {
    /** Writes everything, and closes the set with its last transaction. */
    async write(operations: Operation[]): Promise<void> {
      for (let start = 0; start < operations.length; start += FULL) {
        const guard = { epoch: ref.epoch, closed: start + FULL >= operations.length }
        try {
          const etags = await table.transact([
            guards.write({ partitionKey, rowKey: GUARD }, guard, etag),
            ...operations.slice(start, start + FULL),
          ])
          etag = etags[0] ?? ''
        } catch (error) {
          if (isConflict(error, 'changed')) throw new Fenced(ref.runId)
          throw error
        }
      }
    },
  }
}

/** Closes the set of a run's files for this epoch and all before it. */
async function closeFileSet(table: Table, partitionKey: string, ref: RunRef): Promise<void> {
  await takeGuard(table, partitionKey, ref, true)
}

async function takeGuard(
  table: Table,
  partitionKey: string,
  ref: RunRef,
  closed: boolean,
): Promise<string> {
  const key = { partitionKey, rowKey: GUARD }
  const taken = await createRecords(table, guardRow).update(key, (known) => {
    const isComplete = known?.epoch === ref.epoch && known.closed
    if (known && (known.epoch > ref.epoch || (isComplete && !closed))) throw new Fenced(ref.runId)
    return isComplete ? undefined : { epoch: ref.epoch, closed }
  })
  return taken?.etag ?? ''
}

/** A digest of a file set, whatever its order. */
export function digestPaths(files: { path: string }[]): string {
  const paths = files.map((file) => file.path).sort()
  return createHash('sha256').update(paths.join('\n')).digest('hex')
}
