import { createHash } from 'node:crypto'
import { z } from 'zod'
import {
  type Columns,
  isRefusal,
  type Operation,
  type Query,
  type Table,
} from '../platform/table.ts'
import { fromTextColumns, toTextColumns } from '../platform/table-record.ts'
import type { ListedFile } from './kind.ts'
import type { FileRef, RunRef } from './names.ts'
import {
  Fenced,
  type FileRecord,
  fileColumns,
  type Reject,
  toColumns,
  toFile,
} from './run-record.ts'

const storedRejects = z.array(z.object({ line: z.number(), reason: z.string(), text: z.string() }))

/** What is kept of every file of a run, one partition a run of table `Exports`. */
export type FileLedger = ReturnType<typeof createFileLedger>

/** Opens the file rows of a kind's runs. */
export function createFileLedger(table: Table, kind: string) {
  const partition = (runId: string) => `${kind}|${runId}`
  const key = (runId: string, number: number) => ({
    partitionKey: partition(runId),
    rowKey: String(number).padStart(6, '0'),
  })

  const readFile = (rowKey: string, columns: Columns) => toFile(Number(rowKey), columns)

  async function* list(
    runId: string,
    after = 0,
  ): AsyncGenerator<FileRecord & { rejects: Reject[] }> {
    const { rowKey: from } = key(runId, after + 1)
    for await (const row of table.list({ ...fileRows(partition(runId)), from })) {
      const rejects = storedRejects.parse(
        JSON.parse(fromTextColumns('rejects', row.columns) || '[]'),
      )
      yield { ...readFile(row.rowKey, row.columns), rejects }
    }
  }

  /** Reads, changes and writes a file's row, again until nobody was faster; rejects stay unless new ones are given. */
  async function update(
    ref: FileRef,
    decide: (file: FileRecord) => FileRecord,
    rejects?: Reject[],
    mayRaise = false,
  ): Promise<FileRecord> {
    const { partitionKey, rowKey } = key(ref.runId, ref.file)
    for (;;) {
      const row = await table.get(partitionKey, rowKey)
      const known = row && readFile(rowKey, row.columns)
      if (!row || !known || (mayRaise ? known.epoch > ref.epoch : known.epoch !== ref.epoch))
        throw new Fenced(ref.runId)
      const file = { ...decide(known), epoch: ref.epoch }
      const kept = rejects ? JSON.stringify(rejects) : fromTextColumns('rejects', row.columns)
      const columns = { ...fileColumns(file), ...toTextColumns('rejects', kept) }
      try {
        await table.transact([{ kind: 'replace', partitionKey, rowKey, columns, etag: row.etag }])
        return file
      } catch (error) {
        if (!isRefusal(error, 'changed', 'missing')) throw error
      }
    }
  }

  return {
    list,
    update,

    async all(runId: string): Promise<(FileRecord & { rejects: Reject[] })[]> {
      return Array.fromAsync(list(runId))
    },

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
        ...files.map(({ path, link }, index) => ({
          kind: 'upsert' as const,
          ...key(ref.runId, index + 1),
          columns: toColumns({ epoch: ref.epoch, state: 'waiting', path, link }),
        })),
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
          await update({ ...ref, file: file.number }, (same) => same, undefined, true)
      }
    },

    /** Erases every link that is left, and takes the files into the epoch: nobody older can bring another one. */
    async eraseLinks(ref: RunRef): Promise<void> {
      await closeFileSet(table, partition(ref.runId), ref)
      for await (const file of list(ref.runId)) {
        if (file.link || file.epoch < ref.epoch)
          await update(
            { ...ref, file: file.number },
            (known) => ({ ...known, link: null }),
            undefined,
            true,
          )
      }
    },
  }
}

/** Who may list the files of a run: a row beside theirs, changed in every transaction that adds or takes away a file. */
const GUARD = 'listing'
const storedGuard = z.object({ epoch: z.number(), closed: z.boolean() })

/** Most operations of one transaction, less the guard's. */
const FULL = 99

/** The rows of a run's files, without the guard beside them. */
const fileRows = (partitionKey: string): Query => ({ partitionKey, before: GUARD })

/**
 * Opens the set of a run's files to be written anew: whoever opened it before fails at its next write. Throws `Fenced` when
 * the set was opened in a newer epoch, or is complete in this one.
 */
async function openFileSet(table: Table, partitionKey: string, ref: RunRef) {
  let etag = await takeGuard(table, partitionKey, ref, false)
  return {
    /** Writes everything, and closes the set with its last transaction. */
    async write(operations: Operation[]): Promise<void> {
      for (let start = 0; start < operations.length; start += FULL) {
        const columns = { epoch: ref.epoch, closed: start + FULL >= operations.length }
        try {
          const etags = await table.transact([
            { kind: 'replace', partitionKey, rowKey: GUARD, columns, etag },
            ...operations.slice(start, start + FULL),
          ])
          etag = etags[0] ?? ''
        } catch (error) {
          if (isRefusal(error, 'changed')) throw new Fenced(ref.runId)
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
  for (;;) {
    const row = await table.get(partitionKey, GUARD)
    const known = row && storedGuard.parse(row.columns)
    const isComplete = known?.epoch === ref.epoch && known.closed
    if (known && (known.epoch > ref.epoch || (isComplete && !closed))) throw new Fenced(ref.runId)
    if (row && isComplete) return row.etag
    const columns = { epoch: ref.epoch, closed }
    try {
      const [etag = ''] = await table.transact([
        row
          ? { kind: 'replace', ...key, columns, etag: row.etag }
          : { kind: 'insert', ...key, columns },
      ])
      return etag
    } catch (error) {
      if (!isRefusal(error, 'changed', 'exists')) throw error
    }
  }
}

/** A digest of a file set, whatever its order. */
export function digestPaths(files: { path: string }[]): string {
  const paths = files.map((file) => file.path).sort()
  return createHash('sha256').update(paths.join('\n')).digest('hex')
}
