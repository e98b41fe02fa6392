import fc from 'fast-check'
import { beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createTables } from '../../shared/platform/azure-table.ts'
import type { Operation, Table } from '../../shared/platform/table.ts'
import {
  createRecords,
  fromTextColumns,
  LONGEST_PIECE,
  lease,
  rowCodec,
  splitText,
  toTextColumns,
} from '../../shared/platform/table-record.ts'
import { createMemoryTable } from '../memory-table.ts'
import { freshStorage } from '../storage.ts'

const kinds = {
  'in memory': async () => createMemoryTable('Things'),
  'on the table service': async () =>
    createTables({ connectionString: await freshStorage() })('Things'),
}

const thing = z.object({
  text: z.string(),
  kind: z.enum(['one', 'two']),
  count: z.number(),
  flag: z.boolean(),
  note: z.string().nullable(),
  size: z.number().nullable(),
  isSure: z.boolean().nullable(),
  since: z.string().nullable().default(null),
  list: z.array(z.object({ line: z.number(), text: z.string() })),
  nested: z.record(z.string(), z.unknown()).nullable(),
  extra: z.string().optional(),
  tally: z.record(z.string(), z.number()).default({}),
})
const thingRow = rowCodec(thing)

const long = fc
  .tuple(fc.string({ unit: 'grapheme', maxLength: 5 }), fc.integer({ min: 0, max: 3 }))
  .map(([some, times]) => `${'x'.repeat(times * (LONGEST_PIECE - 1))}😀${some}`)
const text = fc.oneof(fc.constant(''), fc.string({ unit: 'grapheme', maxLength: 20 }), {
  arbitrary: long,
  weight: 1,
})
const number = fc.oneof(
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0),
)
const name = fc.string({ maxLength: 8 }).filter((one) => one !== '__proto__')
/** JSON has no -0: it comes back as 0. */
const inJson = fc
  .jsonValue({ depthSize: 'small' })
  .map((value): unknown => JSON.parse(JSON.stringify(value)))

const things: fc.Arbitrary<z.output<typeof thing>> = fc.record({
  text,
  kind: fc.constantFrom('one', 'two'),
  count: number,
  flag: fc.boolean(),
  note: fc.option(text),
  size: fc.option(number),
  isSure: fc.option(fc.boolean()),
  since: fc.option(text),
  list: fc.array(fc.record({ line: fc.integer(), text }), { maxLength: 3 }),
  nested: fc.option(fc.dictionary(name, fc.oneof(text, fc.constant(null), inJson))),
  extra: fc.option(text, { nil: undefined }),
  tally: fc.dictionary(name, fc.integer()),
})
const least = {
  text: '',
  kind: 'one',
  count: 0,
  flag: false,
  note: null,
  size: null,
  isSure: null,
  list: [],
  nested: null,
} as const

describe('a row codec', () => {
  test('returns every record unchanged: with null, absent, long or nested members', () => {
    fc.assert(
      fc.property(things, (record) => {
        const columns = thingRow.toColumns(record)

        expect(thingRow.read(columns)).toEqual(JSON.parse(JSON.stringify(record)))
        for (const value of Object.values(columns)) {
          expect(['string', 'number', 'boolean']).toContain(typeof value)
          expect(String(value).length).toBeLessThanOrEqual(LONGEST_PIECE)
        }
      }),
    )
  })

  test('has no column for null or absent members, and one for empty, false or zero ones', () => {
    const columns = thingRow.toColumns({ ...least, list: [], extra: undefined })

    expect(columns).toEqual({ text: '', kind: 'one', count: 0, flag: false, list: '[]' })
  })

  test('stores texts, numbers and flags as they are, so that a query finds them', () => {
    const plain = { ...least, note: 'a', size: 1, isSure: true, since: '2026-03-02', extra: 'b' }

    const columns = thingRow.toColumns({ ...plain, list: [], nested: { a: null } })

    expect(columns).toEqual({ ...plain, list: '[]', nested: '{"a":null}' })
  })

  test('reads a member without a column as null, or as its default', () => {
    const columns = thingRow.toColumns({ ...least, list: [] })

    expect(thingRow.read(columns)).toEqual({ ...least, since: null, list: [], tally: {} })
  })

  test('refuses columns that do not match its schema, and ignores unknown ones', () => {
    const { kind: _gone, ...columns } = thingRow.toColumns({ ...least, list: [] })

    expect(() => thingRow.read(columns)).toThrow('kind')
    expect(thingRow.tryRead(columns)).toBeUndefined()
    expect(thingRow.tryRead({ ...columns, kind: 'two', other: 1 })).toEqual({
      ...least,
      kind: 'two',
      since: null,
      list: [],
      tally: {},
    })
  })

  test('is refused when a column could be the continuation of another one', () => {
    expect(() => rowCodec(z.object({ text: z.string(), text2: z.string() }))).toThrow('text2')
  })
})

const counterRow = rowCodec(z.object({ count: z.number(), by: z.string().nullable() }))
const key = { partitionKey: 'p', rowKey: 'counter' }
const beside = { partitionKey: 'p', rowKey: 'beside' }

/** A table that runs one action of another writer before each transaction. */
function withOthers(table: Table, others: (() => Promise<unknown>)[]): Table {
  const transact = async (operations: Operation[]) => {
    await others.shift()?.()
    return table.transact(operations)
  }
  return { ...table, transact }
}

describe.each(Object.entries(kinds))('a guarded update %s', (_kind, open) => {
  let table: Table

  beforeEach(async () => {
    table = await open()
    await table.create()
  })

  const counters = (others: (() => Promise<unknown>)[] = []) =>
    createRecords(withOthers(table, others), counterRow)
  const add = (known: { count: number } | undefined) => ({
    count: (known?.count ?? 0) + 1,
    by: null,
  })
  const countAfter = async () => (await counters().read(key))?.record.count

  test('writes records that come back as they were', async () => {
    const records = createRecords(table, thingRow)
    const some = fc.sample(things, 20)
    const keyOf = (index: number) => ({ partitionKey: 'p', rowKey: String(index) })

    await table.transact(
      some.map((record, index) => records.write(keyOf(index), record, undefined)),
    )

    for (const [index, record] of some.entries())
      expect((await records.read(keyOf(index)))?.record).toEqual(record)
  })

  test('inserts, replaces, or changes nothing; its ETag guards the next write', async () => {
    const absent = await counters().update(key, () => undefined)
    const inserted = await counters().update(key, add)
    const replaced = await counters().update(key, add)
    const left = await counters().update(key, () => undefined)

    expect(absent).toBeUndefined()
    expect([inserted?.record.count, inserted?.isWritten]).toEqual([1, true])
    expect([replaced?.record.count, replaced?.isWritten]).toEqual([2, true])
    expect(left).toEqual({ ...replaced, isWritten: false })
    await table.transact([counters().write(key, { count: 7, by: null }, left?.etag)])
    expect(await countAfter()).toBe(7)
  })

  test('loses no write of many at once, the first insert included', async () => {
    await Promise.all(Array.from({ length: 8 }, () => counters().update(key, add)))

    expect(await countAfter()).toBe(8)
  })

  test.each([
    ['inserted', []],
    ['changed', [add]],
  ])('starts again when another writer has %s the row', async (_what, before) => {
    for (const decide of before) await counters().update(key, decide)
    const other = () => counters().update(key, add)

    const updated = await counters([other, other]).update(key, add)

    expect(updated?.record.count).toBe(before.length + 3)
    expect(await countAfter()).toBe(before.length + 3)
  })

  test('starts again when the row was deleted meanwhile', async () => {
    await counters().update(key, () => ({ count: 5, by: null }))

    const updated = await counters([() => table.transact([{ kind: 'delete', ...key }])]).update(
      key,
      add,
    )

    expect(updated?.record.count).toBe(1)
  })

  test('does the operations beside it in the same transaction, made again for each try', async () => {
    const other = () => counters().update(key, add)
    const made: number[] = []

    await counters([other]).update(key, add, {
      beside: async (record) => {
        made.push(record.count)
        return [counters().write(beside, record, undefined)]
      },
    })

    expect(made).toEqual([1, 2])
    expect((await counters().read(beside))?.record.count).toBe(2)
  })

  test('writes nothing while an operation beside it meets a conflict, then writes both', async () => {
    await table.transact([counters().overwrite(beside, { count: 1, by: 'another' })])
    const seen: unknown[] = []
    const remove = () => table.transact([{ kind: 'delete', ...beside }])

    await counters().update(key, add, {
      beside: async (record) => {
        seen.push([await countAfter(), (await counters().read(beside))?.record.by])
        if (seen.length === 3) await remove()
        return [counters().write(beside, record, undefined)]
      },
    })

    expect(seen).toEqual(Array.from({ length: 3 }, () => [undefined, 'another']))
    expect(await countAfter()).toBe(1)
    expect((await counters().read(beside))?.record.count).toBe(1)
  })

  test('throws what `decide` throws', async () => {
    await expect(
      counters().update(key, () => {
        throw new Error('fenced')
      }),
    ).rejects.toThrow('fenced')
  })

  test('throws what is no conflict', async () => {
    const gone = counters([() => table.drop()]).update(key, add)

    await expect(gone).rejects.toMatchObject({ reason: 'no-table' })
  })

  test('replaces an existing row only with `overwrite`', async () => {
    await counters().update(key, add)
    const blind = counters().write(key, { count: 9, by: null }, undefined)

    await expect(table.transact([blind])).rejects.toMatchObject({ reason: 'exists' })
    await table.transact([counters().overwrite(key, { count: 9, by: 'me' })])

    expect((await counters().read(key))?.record).toEqual({ count: 9, by: 'me' })
  })
})

test('for any order of two writers, no update is lost', async () => {
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), async (scheduler) => {
      const table = createMemoryTable('Things')
      await table.create()
      const scheduled = {
        get: scheduler.scheduleFunction(table.get),
        transact: scheduler.scheduleFunction(table.transact),
      }
      const records = createRecords(scheduled, rowCodec(z.object({ by: z.array(z.string()) })))
      const write = async (who: string) => {
        for (const turn of [1, 2])
          await records.update(key, (known) => ({ by: [...(known?.by ?? []), `${who}${turn}`] }))
      }

      const done = Promise.all([write('a'), write('b')])
      await scheduler.waitFor(done)

      const by = JSON.parse(String((await table.get('p', 'counter'))?.columns.by))
      expect(by.toSorted()).toEqual(['a1', 'a2', 'b1', 'b2'])
      expect(by.indexOf('a1')).toBeLessThan(by.indexOf('a2'))
    }),
  )
})

describe('a lease', () => {
  const now = new Date('2026-03-02T10:00:00.000Z')
  const at = (seconds: number) => new Date(now.getTime() + seconds * 1000).toISOString()

  test.each([
    ['nobody has had', null],
    ['has just ended', at(0)],
    ['ended long ago', at(-1000)],
    ['says no time', 'soon'],
  ])('that %s is taken, for its time', (_what, until) => {
    const { record, waitMs } = lease({ until, other: 1 }, 'until', 60_000, now)

    expect([record, waitMs]).toEqual([{ until: at(60), other: 1 }, 0])
  })

  test('that is taken stays unchanged, and says how long', () => {
    expect(lease({ until: at(15) }, 'until', 60_000, now)).toEqual({
      record: undefined,
      waitMs: 15_000,
    })
  })

  test('is taken by one of many at once', async () => {
    const table = createMemoryTable('Things')
    await table.create()
    const records = createRecords(table, rowCodec(z.object({ until: z.string().nullable() })))

    const taken = await Promise.all(
      Array.from({ length: 6 }, () =>
        records.update(key, (known = { until: null }) => lease(known, 'until', 60_000, now).record),
      ),
    )

    expect(taken.map((one) => one?.isWritten).toSorted()).toEqual([
      ...Array.from({ length: 5 }, () => false),
      true,
    ])
  })
})

test('a text of any length and characters is restored from pieces that fit and are well-formed', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'grapheme', maxLength: 200 }),
      fc.integer({ min: 2, max: 20 }),
      (text, longest) => {
        const pieces = splitText(text, longest)

        expect(pieces.join('')).toBe(text)
        expect(
          pieces.filter((piece) => piece === '' || piece.length > longest || !piece.isWellFormed()),
        ).toEqual([])
      },
    ),
  )
})

test.each([0, 1, LONGEST_PIECE, LONGEST_PIECE + 1, 3 * LONGEST_PIECE + 7])(
  'a text of %d units comes back',
  (length) => {
    const text = 'x'.repeat(length)

    const columns = toTextColumns('rejects', text)

    // An empty text has a column: it is not absent.
    expect(Object.keys(columns)).toHaveLength(Math.max(1, Math.ceil(length / LONGEST_PIECE)))
    expect(fromTextColumns('rejects', { other: 1, ...columns })).toBe(text)
  },
)

test('the pieces stand in columns that are numbered from the second on', () => {
  expect(Object.keys(toTextColumns('rejects', 'x'.repeat(2 * LONGEST_PIECE + 1)))).toEqual([
    'rejects',
    'rejects2',
    'rejects3',
  ])
})

test('a character is never cut in two', () => {
  const [first = '', second] = splitText(`${'x'.repeat(LONGEST_PIECE - 1)}😀`)

  expect([first.length, second]).toEqual([LONGEST_PIECE - 1, '😀'])
})
