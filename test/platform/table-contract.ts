import { beforeEach, describe, expect, test } from 'vitest'
import type { Table } from '../../shared/platform/table.ts'

/** The promises of every table. `open` answers a table that does not exist yet. */
export function promiseTable(kind: string, open: () => Promise<Table>): void {
  describe(`a table ${kind}`, () => {
    let table: Table

    beforeEach(async () => {
      table = await open()
      await table.create()
    })

    const insert = (rowKey: string, columns = {}) =>
      ({ kind: 'insert', partitionKey: 'p', rowKey, columns }) as const

    test('a row comes back as it was written, with numbers of every size', async () => {
      const columns = {
        text: "it's <b>",
        flag: true,
        small: 7,
        large: 2 ** 40,
        fraction: 1.5,
        negative: -(2 ** 31),
      }

      await table.transact([insert('a|1', columns)])

      expect((await table.get('p', 'a|1'))?.columns).toEqual(columns)
      expect(await table.get('p', 'nobody')).toBeUndefined()
    })

    test('a dated answer says when it was sent, in whole seconds, also when there is no row', async () => {
      const [etag] = await table.transact([insert('a', { n: 1 })])
      const beforeMs = Date.now()

      const found = await table.getDated('p', 'a')
      const nothing = await table.getDated('p', 'nobody')

      expect(found.row).toEqual({ partitionKey: 'p', rowKey: 'a', etag, columns: { n: 1 } })
      expect(nothing.row).toBeUndefined()
      for (const { date } of [found, nothing]) {
        expect(date.getTime() % 1000).toBe(0)
        expect(date.getTime()).toBeGreaterThan(beforeMs - 1000)
        expect(date.getTime()).toBeLessThanOrEqual(Date.now())
      }
    })

    test('texts of every kind come back as they were written', async () => {
      const columns = {
        empty: '',
        lines: 'a\r\nb\u0000',
        wide: 'ä😀',
        separators: 'one\u2028two\u2029three\\u2028',
        long: 'x'.repeat(32_000),
        time: '2026-03-02T00:00:00Z',
      }

      await table.transact([insert('a', columns)])

      expect((await table.get('p', 'a'))?.columns).toEqual(columns)
    })

    test('a transaction does all or nothing and names the first operation that failed', async () => {
      await table.transact([insert('b')])

      const refused = table.transact([insert('a'), insert('b'), insert('c')])

      await expect(refused).rejects.toMatchObject({ reason: 'exists', index: 1 })
      expect(await table.get('p', 'a')).toBeUndefined()
    })

    test('a transaction that names a row twice is refused whole', async () => {
      await expect(table.transact([insert('a'), insert('b'), insert('a')])).rejects.toBeInstanceOf(
        Error,
      )

      expect((await table.page({})).rows).toEqual([])
    })

    test('a row that changed since it was read is not overwritten', async () => {
      const [etag] = await table.transact([insert('a', { n: 1 })])
      const replace = (n: number) =>
        ({
          kind: 'replace',
          partitionKey: 'p',
          rowKey: 'a',
          columns: { n },
          etag: etag ?? '',
        }) as const
      const [second] = await table.transact([replace(2)])

      await expect(table.transact([replace(3)])).rejects.toMatchObject({
        reason: 'changed',
        index: 0,
      })
      const read = await table.get('p', 'a')

      expect(read?.columns).toEqual({ n: 2 })
      expect(read?.etag).toBe(second)
    })

    test('a replace leaves no column of the row before', async () => {
      await table.transact([insert('a', { old: 'x', both: 1 })])

      await table.transact([
        { kind: 'upsert', partitionKey: 'p', rowKey: 'a', columns: { both: 2 } },
      ])

      expect((await table.get('p', 'a'))?.columns).toEqual({ both: 2 })
    })

    test('only an existing row can be replaced or deleted', async () => {
      const remove = { kind: 'delete', partitionKey: 'p', rowKey: 'a' } as const
      const [etag = ''] = await table.transact([insert('a')])

      await table.transact([remove])

      await expect(table.transact([remove])).rejects.toMatchObject({ reason: 'missing' })
      const replace = {
        kind: 'replace',
        partitionKey: 'p',
        rowKey: 'a',
        columns: {},
        etag,
      } as const
      await expect(table.transact([insert('b'), replace])).rejects.toMatchObject({
        reason: 'missing',
        index: 1,
      })
    })

    test('ranges, equal columns and pages answer exactly their rows', async () => {
      await table.transact(
        ['a|1', 'a|2', 'a|3', 'b|1'].map((key, n) => insert(key, { even: n % 2 === 0 })),
      )

      const range = { partitionKey: 'p', from: 'a|', before: 'a}' }
      const first = await table.page(range, { limit: 2 })
      const second = await table.page(range, { limit: 2, next: first.next ?? '' })
      const even = await Array.fromAsync(table.list({ where: { even: true } }))

      expect([...first.rows, ...second.rows].map((row) => row.rowKey)).toEqual([
        'a|1',
        'a|2',
        'a|3',
      ])
      expect(second.next).toBeUndefined()
      expect(even.map((row) => row.rowKey)).toEqual(['a|1', 'a|3'])
    })

    test('rows come in the order of their keys, partition by partition', async () => {
      const keys = ['b', '~', 'a|2', 'A', 'a', 'a|10', '0']
      await table.transact(keys.map((key) => insert(key)))
      await table.transact([{ kind: 'insert', partitionKey: 'o', rowKey: 'z', columns: {} }])

      const rows = await Array.fromAsync(table.list({}))

      expect(rows.map(({ partitionKey, rowKey }) => partitionKey + rowKey)).toEqual([
        'oz',
        ...keys.toSorted().map((key) => `p${key}`),
      ])
    })

    test('of the columns only the wanted ones are fetched', async () => {
      await table.transact([insert('a', { wanted: 1, other: 2 }), insert('b', { other: 3 })])

      const { rows } = await table.page({ select: ['wanted'] })

      expect(rows.map(({ rowKey, columns }) => [rowKey, columns])).toEqual([
        ['a', { wanted: 1 }],
        ['b', {}],
      ])
    })

    test('a table that was dropped refuses reads and writes alike', async () => {
      await table.drop()
      await table.drop()

      await expect(table.transact([insert('a')])).rejects.toMatchObject({ reason: 'no-table' })
      await expect(table.get('p', 'a')).rejects.toMatchObject({ reason: 'no-table' })
      await expect(table.getDated('p', 'a')).rejects.toMatchObject({ reason: 'no-table' })
      await expect(table.page({})).rejects.toMatchObject({ reason: 'no-table' })
    })

    test('creating a table that exists leaves its rows', async () => {
      await table.transact([insert('a')])

      await table.create()

      expect((await table.page({})).rows).toHaveLength(1)
    })
  })
}
