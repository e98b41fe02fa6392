import fc, { type Scheduler } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createAdjustableClock } from '../../local/clock.ts'
import { createSnapshotWriter } from '../../shared/exports/snapshot-writer.ts'
import { createTables } from '../../shared/platform/azure-table.ts'
import { toMembers } from '../../shared/platform/batch-body.ts'
import { createBatchWriter } from '../../shared/platform/batch-writer.ts'
import { type Row, type Table, TableConflict } from '../../shared/platform/table.ts'
import { toTextColumns } from '../../shared/platform/table-record.ts'
import { createMemoryTable } from '../memory-table.ts'
import { runs } from '../runs.ts'
import { freshStorage } from '../storage.ts'
import { type Failure, failing, Lost } from './failing-table.ts'

interface Line {
  id: string
  refreshed: number
  seen: number
  size: number
}

/** A file: its lines, and the failures of each attempt before the one that succeeds. */
interface File {
  lines: Line[]
  attempts: (Failure | undefined)[][]
}

const freshness = (columns: Record<string, unknown>) => [
  String(columns.refreshed),
  String(columns.seen),
]

const clock = createAdjustableClock()

/** Imports the lines of one file once. */
async function importOnce(table: Table, buckets: number, file: number, lines: Line[]) {
  const writer = createBatchWriter({ inFlight: 4, clock })
  const snapshot = createSnapshotWriter({ table, kind: { buckets, freshness }, writer, file })
  try {
    for (const [index, { id, refreshed, seen, size }] of lines.entries()) {
      const columns = { machineId: id, refreshed, seen, ...toTextColumns('pad', 'x'.repeat(size)) }
      await snapshot.add(id, toMembers(columns), index + 1)
    }
    return await snapshot.finish()
  } catch (error) {
    await snapshot.abandon()
    throw error
  }
}

/** Imports a file until an attempt succeeds. */
async function importFile(table: Table, buckets: number, file: number, { lines, attempts }: File) {
  for (const plan of attempts) {
    try {
      return await importOnce(failing(table, plan), buckets, file, lines)
    } catch (error) {
      if (!(error instanceof Lost)) throw error
    }
  }
  return importOnce(table, buckets, file, lines)
}

/** The line that wins for each device: the newest, then the lower file, then the lower line. */
function expectedRows(files: File[]) {
  const candidates = files.flatMap(({ lines }, file) =>
    lines.map((line, at) => ({ ...line, file: file + 1, line: at + 1 })),
  )
  const best = candidates.toSorted(
    (a, b) => b.refreshed - a.refreshed || b.seen - a.seen || a.file - b.file || a.line - b.line,
  )
  return [...Map.groupBy(best, ({ id }) => id).values()]
    .flatMap((copies) => copies.slice(0, 1))
    .map(({ size: _size, ...stays }) => stays)
    .toSorted((a, b) => (a.id < b.id ? -1 : 1))
}

const toText = (rows: Row[]) =>
  rows
    .map(({ rowKey: id, columns: { refreshed, seen, file, line } }) => ({
      id,
      refreshed,
      seen,
      file,
      line,
    }))
    .toSorted((a, b) => (a.id < b.id ? -1 : 1))

/** Imports all files at once, then all of them again, and checks the promise of the counts. */
async function accountsHold(
  table: Table,
  buckets: number,
  files: File[],
  settled = <T>(work: Promise<T>) => work,
) {
  await table.create()
  const all = () =>
    settled(Promise.all(files.map((file, index) => importFile(table, buckets, index + 1, file))))

  const counts = await all()
  const rows = await Array.fromAsync(table.list({}))
  const again = await all()
  const rowsAgain = await Array.fromAsync(table.list({}))

  expect(counts.map(({ written, duplicates }) => written + duplicates)).toEqual(
    files.map(({ lines }) => lines.length),
  )
  expect(counts.reduce((sum, { written }) => sum + written, 0)).toBe(rows.length)
  expect(toText(rows)).toEqual(expectedRows(files))
  const mine = (file: number) => rows.filter(({ columns }) => columns.firstFile === file).length
  expect(counts.map(({ written }) => written)).toEqual(files.map((_file, index) => mine(index + 1)))
  expect(again).toEqual(counts)
  expect(rowsAgain).toEqual(rows)
}

const ids = fc
  .tuple(fc.constantFrom('00', '0f', '7f', '80', 'ff', 'zz'), fc.nat(30))
  .map(([lead, n]) => `${lead}${n}`)
// One large row fills a batch.
const size = fc.oneof(
  { weight: 60, arbitrary: fc.constant(100) },
  { weight: 1, arbitrary: fc.constant(400_000) },
)
const lines = fc.record({ id: ids, refreshed: fc.nat(2), seen: fc.nat(2), size })
const failure = fc.option(
  fc.constantFrom<Failure>('too-large', 'too-large', 'unsent', 'unanswered'),
  {
    nil: undefined,
    freq: 4,
  },
)
const attempts = fc.array(fc.array(failure, { maxLength: 12 }), { maxLength: 3 })
const file = (most: number) =>
  fc.record({ lines: fc.array(lines, { maxLength: most, size: 'max' }), attempts })
const buckets = fc.constantFrom(1, 2, 16)

/** A table that answers in the order that the property explores. */
function shuffled(table: Table, scheduler: Scheduler): Table {
  return {
    ...table,
    get: (partitionKey, rowKey) =>
      scheduler.schedule(Promise.resolve()).then(() => table.get(partitionKey, rowKey)),
    transact: (operations) =>
      scheduler.schedule(Promise.resolve()).then(() => table.transact(operations)),
    insert: (batch) => scheduler.schedule(Promise.resolve()).then(() => table.insert(batch)),
  }
}

describe('every row is accounted for, whatever is repeated, lost, refused or done at once', () => {
  test('on a table in memory, in every order of answers', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        buckets,
        fc.array(file(150), { maxLength: 3 }),
        async (scheduler, layout, files) => {
          const table = shuffled(createMemoryTable('Snapshot'), scheduler)

          await accountsHold(table, layout, files, (work) => scheduler.waitFor(work))
        },
      ),
      { numRuns: runs(40, 3000) },
    )
  })

  test('on the table service', async () => {
    const tables = createTables({ connectionString: await freshStorage() })
    let run = 0
    await fc.assert(
      fc.asyncProperty(
        buckets,
        fc.array(file(60), { minLength: 1, maxLength: 2 }),
        async (layout, files) => {
          run += 1

          await accountsHold(tables(`Snapshot${run}`), layout, files)
        },
      ),
      { numRuns: runs(4, 250), endOnFailure: true },
    )
  })
})

const plain = (id: string, more: Partial<Line> = {}): Line => ({
  id,
  refreshed: 0,
  seen: 0,
  size: 100,
  ...more,
})
const number = (n: number) => n.toString(16).padStart(4, '0')

/** A table that records the sizes of its transactions. */
function counting(table: Table): { table: Table; sizes: number[] } {
  const sizes: number[] = []
  const transact: Table['transact'] = (operations) => {
    sizes.push(operations.length)
    return table.transact(operations)
  }
  const insert: Table['insert'] = (batch) => {
    sizes.push(batch.length)
    return table.insert(batch)
  }
  return { table: { ...table, transact, insert }, sizes }
}

test('new rows are written a hundred at a time, and fewer when they are large', async () => {
  const { table, sizes } = counting(createMemoryTable('Snapshot'))
  await table.create()
  const light = Array.from({ length: 250 }, (_, n) => plain(number(n)))
  const heavy = Array.from({ length: 6 }, (_, n) => plain(number(1000 + n), { size: 200_000 }))

  const counts = await importOnce(table, 1, 1, [...light, ...heavy])

  expect(counts).toEqual({ written: 256, duplicates: 0 })
  expect(sizes).toEqual([100, 100, 52, 2, 2])
})

test('a whole file that is stored already does not cost one batch per row', async () => {
  const memory = createMemoryTable('Snapshot')
  await memory.create()
  const all = Array.from({ length: 200 }, (_, n) => plain(number(n)))
  await importOnce(memory, 1, 1, all)
  const { table, sizes } = counting(memory)

  const counts = await importOnce(table, 1, 1, all)

  expect(counts).toEqual({ written: 200, duplicates: 0 })
  expect(sizes.length).toBeLessThan(10)
})

test('a row keeps the first line of the file that brought its device first, no matter whose data is stored', async () => {
  const table = createMemoryTable('Snapshot')
  await table.create()
  await importOnce(table, 1, 2, [plain('00a'), plain('00a', { refreshed: 1 })])

  const counts = await importOnce(table, 1, 1, [
    plain('00b'),
    plain('00a', { refreshed: 2 }),
    plain('00a'),
  ])

  expect(counts).toEqual({ written: 1, duplicates: 2 })
  expect((await table.get('00', '00a'))?.columns).toMatchObject({
    firstFile: 2,
    firstLine: 1,
    file: 1,
    line: 2,
  })
})

test('a row that is too large for a transaction ends the import with the reason', async () => {
  const memory = createMemoryTable('Snapshot')
  await memory.create()
  const table: Table = {
    ...memory,
    insert: async () => Promise.reject(new TableConflict('too-large', 0)),
  }

  await expect(importOnce(table, 1, 1, [plain('00a'), plain('00b')])).rejects.toMatchObject({
    reason: 'too-large',
  })
})

test('a dropped table ends the import at once, for any number of remaining batches', async () => {
  const { table, sizes } = counting(createMemoryTable('Snapshot'))
  const many = Array.from({ length: 2000 }, (_, n) => plain(number(n)))

  await expect(importOnce(table, 1, 1, many)).rejects.toMatchObject({ reason: 'no-table' })

  expect(sizes.length).toBeLessThan(4)
})

test('an abandoned import writes nothing more', async () => {
  const { table, sizes } = counting(createMemoryTable('Snapshot'))
  await table.create()
  const snapshot = createSnapshotWriter({
    table,
    kind: { buckets: 1, freshness },
    writer: createBatchWriter({ inFlight: 4, clock }),
    file: 1,
  })
  const members = toMembers({ refreshed: 0, seen: 0 })
  for (let n = 0; n < 150; n++) await snapshot.add(number(n), members, n + 1)

  await snapshot.abandon()
  const written = sizes.length

  expect(() => snapshot.add('ffff', members, 151)).toThrow('abandoned')
  await expect(snapshot.finish()).rejects.toThrow('abandoned')
  expect(sizes.length).toBe(written)
})
