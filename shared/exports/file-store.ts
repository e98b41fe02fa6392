import { createHash } from 'node:crypto'
import { z } from 'zod'
import { createSecrets, type SecretsTable } from '../platform/secrets.ts'
import {
  deleteRows,
  isConflict,
  type Operation,
  type Query,
  type Table,
} from '../platform/table.ts'
import { createRecords, rowCodec } from '../platform/table-record.ts'
import { type Clock, HOUR_MS } from '../platform/time.ts'
import type { ListedFile } from './kind.ts'
import type { FileRef, RunRef } from './names.ts'
import { Fenced, type FileRecord, fileRow, isSameTime, newFile, type Run } from './run-record.ts'

/** The stored files of runs: one partition of table `Exports` for each run. */
export type FileLedger = ReturnType<typeof createFileLedger>

/** Opens the file rows of a kind's runs. */
export function createFileLedger(table: Table, kind: string) {
  const records = createRecords(table, fileRow)
  const partition = (runId: string) => `${kind}|${runId}`
  const key = (runId: string, number: number) => ({
    partitionKey: partition(runId),
    rowKey: toRowKey(number),
  })

  /** The files after a number; `skipped` gets the keys of rows that can't be read. */
  async function* list(
    runId: string,
    after = 0,
    skipped: string[] = [],
  ): AsyncGenerator<FileRecord> {
    const { rowKey: from } = key(runId, after + 1)
    for await (const { rowKey, columns } of table.list({ ...fileRows(partition(runId)), from })) {
      const file = fileRow.tryRead(columns)
      if (file) yield { number: Number(rowKey), ...file }
      else skipped.push(rowKey)
    }
  }

  /** Changes a file, or leaves it; throws `Fenced` for another epoch, and with `mayRaise` only for an older one. */
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
     * Writes the rows of a listing; numbers begin at 1, in the order of the list. Rows of an earlier listing are deleted.
     * Throws `Fenced` when another listing of the run is newer, or complete.
     */
    async write(ref: RunRef, files: Pick<ListedFile, 'path'>[]): Promise<void> {
      const partitionKey = partition(ref.runId)
      // From here on, an executor that took the guard earlier fails at its next write.
      let etag = await takeGuard(table, partitionKey, ref, false)
      const from = key(ref.runId, files.length + 1).rowKey
      const surplus = table.list({ ...fileRows(partitionKey), from, select: ['state'] })
      const operations: Operation[] = []
      for await (const { rowKey } of surplus)
        operations.push({ kind: 'delete', partitionKey, rowKey })
      for (const [index, { path }] of files.entries())
        operations.push(records.overwrite(key(ref.runId, index + 1), newFile(ref.epoch, path)))
      const guards = createRecords(table, guardRow)
      for (let start = 0; start < operations.length; start += BATCH) {
        // The last transaction closes the set.
        const guard = { epoch: ref.epoch, closed: start + BATCH >= operations.length }
        try {
          const etags = await table.transact([
            guards.write({ partitionKey, rowKey: GUARD }, guard, etag),
            ...operations.slice(start, start + BATCH),
          ])
          etag = etags[0] ?? ''
        } catch (error) {
          if (isConflict(error, 'changed')) throw new Fenced(ref.runId)
          throw error
        }
      }
    },

    /** Deletes the files of a run. */
    clear: (runId: string): Promise<void> =>
      deleteRows(table, table.list({ partitionKey: partition(runId), select: ['epoch'] })),

    /** Moves the files into an epoch, so that executors of an older one are fenced. */
    async raise(ref: RunRef): Promise<void> {
      await takeGuard(table, partition(ref.runId), ref, true)
      for await (const { number: file, epoch } of list(ref.runId))
        if (epoch < ref.epoch) await update({ ...ref, file }, (known) => known, true)
    },
  }
}

/** No link is valid for longer: `AV_HEALTH_LINK_HOURS` is at most six. */
export const LONGEST_LINK_MS = 6 * HOUR_MS

const toRowKey = (number: number) => String(number).padStart(6, '0')

export type Links = ReturnType<typeof createLinks>

/** Opens the links of runs: each is written before the row of its file, and erased as soon as the file or the run has ended. */
export function createLinks(table: SecretsTable, clock: Clock) {
  const secrets = createSecrets(table, linkSchema, clock)
  const linksOf = (runId: string) => secrets(`link|${runId}`)
  return {
    /** The link of a file; undefined, too, when an older executor has written one of another listing over it. */
    async read({ runId, generatedTime }: Run, { number, path }: FileRecord) {
      const known = await linksOf(runId).read(toRowKey(number))
      const isOurs = known?.path === path && isSameTime(known.generatedTime, generatedTime)
      return isOurs ? known.link : undefined
    },

    write: (
      { runId, generatedTime }: Pick<Run, 'runId' | 'generatedTime'>,
      files: (ListedFile & { number: number })[],
    ) =>
      linksOf(runId).put(
        files.map(({ number, path, link }) => [toRowKey(number), { path, generatedTime, link }]),
      ),

    erase: (runId: string, number: number) => linksOf(runId).remove(toRowKey(number)),

    eraseAll: (runId: string) => linksOf(runId).clear(),
  }
}

const linkSchema = z.object({
  path: z.string(),
  generatedTime: z.string().nullable(),
  link: z.string(),
})

/** Guards the set of a run's files: a row beside theirs, changed in every transaction that adds or deletes a file. */
const GUARD = 'listing'
export const guardRow = rowCodec(z.object({ epoch: z.number(), closed: z.boolean() }))

/** Most operations of one transaction, less the guard's. */
const BATCH = 99

/** The rows of a run's files, without the guard. */
const fileRows = (partitionKey: string): Query => ({ partitionKey, before: GUARD })

/**
 * Opens the set of a run's files for a new listing, or closes it for this epoch and all before it; answers the guard's
 * ETag. Throws `Fenced` when the set was opened in a newer epoch, or is to be opened and is complete in this one.
 */
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

/** A digest of the paths of a file set; independent of their order. */
export function digestPaths(files: { path: string }[]): string {
  const paths = files.map((file) => file.path).sort()
  return createHash('sha256').update(paths.join('\n')).digest('hex')
}
