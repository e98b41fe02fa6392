import pLimit from 'p-limit'
import { z } from 'zod'
import { readAhead } from '../platform/merge-join.ts'
import type { Columns, Operation, Query, Row, Table } from '../platform/table.ts'
import { rowCodec } from '../platform/table-record.ts'
import type { Fleet } from './kind.ts'
import { bucketFor, bucketNames } from './snapshot-table.ts'

/** The 256 parts of the id space, in which rows of devices are stored whatever snapshot they come from. */
export const partOf = (id: string): string => bucketFor(id, 256)

/** The slices of a run: `count` equal ones, named by their first part, and one for ids that don't begin with two hex digits. */
export const sliceNames = (count: number): string[] => [
  ...Array.from({ length: count }, (_, n) => ((n * 256) / count).toString(16).padStart(2, '0')),
  '~',
]

/** A slice among `slices`, from an id on. */
export interface SliceRange {
  slice: string
  slices: number
  /** The last id that is left out; empty for none. */
  after: string
}

/** The rows of a slice in the order of ids, page by page, of a table with so many partitions. */
export async function* readSlice(
  table: Table,
  buckets: number,
  range: SliceRange,
  query: Query,
  ahead?: number,
): AsyncGenerator<Row[]> {
  for await (const rows of readAhead(table, queriesFor(range, buckets, query), ahead))
    yield isWhole(range) ? rows.filter(({ partitionKey }) => partitionKey !== '~') : rows
}

/** The queries for a slice of a table whose partitions are `count` equal parts of the id space. */
function queriesFor(range: SliceRange, count: number, query: Query): Query[] {
  // The lowest key after it.
  const from = range.after === '' ? undefined : `${range.after}!`
  if (isWhole(range)) return [{ ...query, from }]
  return partsIn(range, count).map(({ part, ...bounds }) => {
    const partitionKey = part === '~' ? part : part.toString(16).padStart(2, '0')
    return { ...query, ...bounds, partitionKey }
  })
}

/** All ids that begin with two hex digits: one query reads them, instead of one for each partition. */
const isWhole = ({ slice, slices }: SliceRange) => slices === 1 && slice !== '~'

/** Those of `count` equal parts of the id space in which a slice lies, with the keys that it has there. */
export function partsIn({ slice, slices, after }: SliceRange, count: number) {
  const next = after === '' ? undefined : `${after}!`
  const found: { part: number | '~'; from?: string; before?: string }[] = []
  if (slice === '~') return [{ part: slice, from: next }] as typeof found
  const first = Number.parseInt(slice, 16)
  const end = first + 256 / slices
  const before = end < 256 ? end.toString(16).padStart(2, '0') : undefined
  for (let part = Math.floor((first * count) / 256); (part * 256) / count < end; part++)
    found.push({ part, from: next ?? slice, before })
  return found
}

const values = z.record(z.string(), z.unknown())

/** A change of a device between two snapshots: partition `<run>|<slice>`, row `<machine id>|<kind>`. */
export const changeRow = rowCodec(
  z.object({ kind: z.string(), name: z.string().nullable(), from: values, to: values }),
)
export type Change = ReturnType<(typeof changeRow)['read']> & { machineId: string }

const counts = z.record(z.string(), z.number())
const rollup = z.record(z.string(), z.array(z.tuple([z.string(), z.number()])))

/** How far a slice is compared; in the partition of its changes. */
export const PROGRESS = '~progress'
export const progressRow = rowCodec(
  z.object({ after: z.string(), isDone: z.boolean(), devices: z.number(), counts, rollup }),
)

/** The state of a device that had a transition: row `<machine id>` of its part. */
export const stateRow = rowCodec(
  z.object({
    type: z.literal('state'),
    /** The last run that wrote it. */
    runId: z.string(),
    /** Null when it was in the first snapshot of all. */
    firstSeenAt: z.string().nullable(),
    firstRun: z.string().nullable(),
    /** When it was last missing; it may be back. */
    goneSince: z.string().nullable(),
    goneRun: z.string().nullable(),
    name: z.string().nullable(),
    os: z.string().nullable(),
    group: z.string().nullable(),
  }),
)
export type KnownDevice = ReturnType<(typeof stateRow)['read']>

/** One transition in the history of a device: row `<machine id>|<reverse run>|<kind>` of its part, the newest first. */
export const historyRow = rowCodec(
  z.object({
    type: z.literal('history'),
    runId: z.string(),
    at: z.string(),
    kind: z.string(),
    from: values,
    to: values,
  }),
)

/** Sorts the newest run first. */
export const reverseRun = (runId: string): string =>
  runId.slice(0, 14).replace(/\d/g, (digit) => String(9 - Number(digit)))

/** One dimension of a snapshot or of a day: partition `snapshot|<run>` or `day|<dimension>`. */
export const rollupRow = rowCodec(
  z.object({
    runId: z.string(),
    at: z.string(),
    devices: z.number(),
    counts: z.array(z.tuple([z.string(), z.number()])),
  }),
)

/** Most partitions of a condition, beside that of ids which are no hex: a list in the order of ranks reads all at once. */
const MAX_CONDITION_BUCKETS = 2
const conditionBuckets = (buckets: number) => Math.min(buckets, MAX_CONDITION_BUCKETS)

export const conditionPartition = (condition: string, id: string, buckets: number): string =>
  `${condition}|${bucketFor(id, conditionBuckets(buckets))}`

/** All partitions of a condition. */
export const conditionPartitions = (condition: string, buckets: number): string[] =>
  bucketNames(conditionBuckets(buckets)).map((bucket) => `${condition}|${bucket}`)

/** Most UTF-16 units of a name in a key. */
const MAX_NAME = 250

/** The text by which a name is looked up: lower case and cut, with marks for what no key can hold. */
export const nameText = (name: string): string =>
  name
    .slice(0, MAX_NAME)
    .toLowerCase()
    .replace(
      // biome-ignore lint/suspicious/noControlCharactersInRegex: keys can't hold them
      /[\u0000-\u001f\u007f-\u009f\u2028\u2029/\\#?%]/g,
      (character) => `%${character.charCodeAt(0).toString(16)}`,
    )
    .slice(0, MAX_NAME)
    .toWellFormed()

/** The row that finds a device by its name. */
export function nameKey(name: string, id: string) {
  const text = nameText(name)
  return { partitionKey: [...text].slice(0, 2).join(''), rowKey: `${text}|${id}` }
}

/** The changes of a run after a key, in the order of ids, without rows that can't be read. */
export async function* listChanges(
  tables: (name: string) => Table,
  fleet: Pick<Fleet, 'tables'>,
  runId: string,
  slices: number,
  after?: { slice: string; key: string },
): AsyncGenerator<Change & { slice: string; key: string }> {
  const names = sliceNames(slices)
  for (const slice of after ? names.slice(names.indexOf(after.slice)) : names) {
    const from = after?.slice === slice ? `${after.key}!` : undefined
    const rows = tables(fleet.tables.changes).list({
      partitionKey: `${runId}|${slice}`,
      from,
      before: PROGRESS,
    })
    for await (const { rowKey: key, columns } of rows) {
      const change = changeRow.tryRead(columns)
      if (change) yield { slice, key, machineId: key.split('|')[0] ?? '', ...change }
    }
  }
}

/** Most UTF-16 units of one transaction: below 4 MiB even when every character takes three bytes. */
const MAX_UNITS = 400_000
/** Transactions of one table in flight. */
const IN_FLIGHT = 4

/** Collects writes that may be repeated, in transactions of at most `maxRows`; nothing is sent before it is asked for. */
export function createUpserts(table: Table, maxRows: number) {
  const partitions = new Map<string, { operations: Operation[]; units: number }>()
  const limit = pLimit(IN_FLIGHT)
  let full: Operation[][] = []
  let waiting = 0

  /** Takes what waits for a partition and is not full yet. */
  function take(partitionKey: string): Operation[] {
    const { operations } = partitions.get(partitionKey) ?? { operations: [] }
    partitions.delete(partitionKey)
    waiting -= operations.length
    return operations
  }

  async function sendFull() {
    const batches = full
    full = []
    await Promise.all(batches.map((batch) => limit(() => table.transact(batch))))
  }

  return {
    take,
    sendFull,
    /** Rows that wait in transactions that are not full. */
    waiting: () => waiting,
    add(partitionKey: string, rowKey: string, columns: Columns) {
      let units = 200
      for (const value of Object.values(columns)) units += String(value).length
      const known = partitions.get(partitionKey)
      if (known && (known.operations.length === maxRows || known.units + units > MAX_UNITS))
        full.push(take(partitionKey))
      const partition = partitions.get(partitionKey) ?? { operations: [], units: 0 }
      partition.operations.push({ kind: 'upsert', partitionKey, rowKey, columns })
      partition.units += units
      partitions.set(partitionKey, partition)
      waiting += 1
    },
    async flush() {
      for (const partitionKey of [...partitions.keys()]) full.push(take(partitionKey))
      await sendFull()
    },
  }
}
