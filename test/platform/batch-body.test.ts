import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { TableClient, type TransactionAction } from '@azure/data-tables'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createTables } from '../../shared/platform/azure-table.ts'
import { BATCH_TYPE, createBatch, toMembers } from '../../shared/platform/batch-body.ts'
import type { Columns, Operation } from '../../shared/platform/table.ts'
import { freshStorage } from '../storage.ts'

const values = {
  text: 'plain',
  empty: '',
  quote: 'say "x"',
  slash: 'a\\b',
  single: "it's /",
  lines: 'a\r\nb\tc\u0000\u001f\u007f',
  wide: 'ä😀\u2028\u2029\ufeff',
  half: '\ud800',
  yes: true,
  no: false,
  zero: 0,
  minusZero: -0,
  int: 2 ** 31 - 1,
  least: -(2 ** 31),
  large: 2 ** 31,
  small: -(2 ** 31) - 1,
  fraction: 1.5,
  exponent: 1e21,
  tiny: 5e-324,
} satisfies Columns

const oddKeys = [
  'plain',
  '',
  "o'brien''s",
  'per%cent%20',
  'a b+c&d=e<f>g',
  '|"(),:;{}^`~!*@$',
  'ä日本語😀',
  'one\u2028two\u2029three',
  'x'.repeat(512),
  '日'.repeat(512),
]

const operationsOf = (rowKey: string, columns: Columns): Operation[] => {
  const key = { partitionKey: rowKey, rowKey }
  return [
    { ...key, kind: 'insert', columns },
    { ...key, rowKey: '1', kind: 'upsert', columns },
    { ...key, rowKey: '2', kind: 'replace', columns, etag: `W/"datetime'2026'"` },
    { ...key, rowKey: '3', kind: 'delete' },
  ]
}

describe("the bytes are those of the SDK's submitTransaction", () => {
  let bodies: string[] = []
  const server = createServer(async (request, response) => {
    bodies.push(Buffer.concat(await Array.fromAsync(request)).toString())
    response.writeHead(202).end()
  })
  let client: TableClient
  let url = ''

  beforeAll(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}/acc`
    url = `${endpoint}/Things`
    client = TableClient.fromConnectionString(
      `DefaultEndpointsProtocol=http;AccountName=acc;AccountKey=a2V5;TableEndpoint=${endpoint}`,
      'Things',
      { allowInsecureConnection: true },
    )
  })
  afterAll(() => {
    server.close()
    server.closeAllConnections()
  })

  async function bytesOfSdk(operations: Operation[]): Promise<string> {
    bodies = []
    await client.submitTransaction(operations.map(toAction))
    // Two line ends are escaped, since the emulator can't read them in the file that it writes.
    return withoutIds(bodies[0] ?? '')
      .replaceAll('\u2028', '\\u2028')
      .replaceAll('\u2029', '\\u2029')
  }

  function ourBytes(operations: Operation[]): string {
    const batch = createBatch(url, operations[0]?.partitionKey ?? '')
    for (const operation of operations) batch.add(operation)
    return withoutIds(batch.body().toString())
  }

  test('for every type of value', async () => {
    const operations = operationsOf('a', values)

    expect(ourBytes(operations)).toBe(await bytesOfSdk(operations))
  })

  test.each(oddKeys)('for the key %s', async (key) => {
    const operations = operationsOf(key, { n: 1 })

    expect(ourBytes(operations)).toBe(await bytesOfSdk(operations))
  })

  test('for any text in keys and columns', async () => {
    const allowed = fc
      .string({ unit: 'binary', maxLength: 40 })
      .filter((text) => text.isWellFormed() && !/[/\\#?\p{Cc}]/u.test(text))
    const value = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.boolean(),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
    )
    await fc.assert(
      fc.asyncProperty(allowed, value, async (key, given) => {
        const operations = operationsOf(`k${key}`, { given })

        expect(ourBytes(operations)).toBe(await bytesOfSdk(operations))
      }),
      { numRuns: 200 },
    )
  })
})

/** The operation as the SDK takes it. */
function toAction(operation: Operation): TransactionAction {
  const { kind, partitionKey, rowKey } = operation
  if (kind === 'delete') return ['delete', { partitionKey, rowKey }]
  const typed = Object.entries(operation.columns).map(([name, value]) =>
    typeof value === 'number' && (value >= 2 ** 31 || value < -(2 ** 31))
      ? [name, { type: 'Double', value: String(value) }]
      : [name, value],
  )
  const entity = { partitionKey, rowKey, ...Object.fromEntries(typed) }
  if (kind === 'insert') return ['create', entity]
  if (kind === 'upsert') return ['upsert', entity, 'Replace']
  return ['update', entity, 'Replace', { etag: operation.etag }]
}

const withoutIds = (body: string) => body.replace(/(batch|changeset)_[\da-f-]{36}/g, '$1_id')

test('the type of the request names the boundary of its body', () => {
  const body = createBatch('http://host/acc/Things', 'p').body().toString()

  expect(body).toMatch(`--${/boundary=(.*)/.exec(BATCH_TYPE)?.[1]}\r\n`)
})

test('every row comes back from the table service field by field, for every kind of key', async () => {
  const table = createTables({ connectionString: await freshStorage() })('Things')
  await table.create()
  const same = { ...values, minusZero: 0, half: expect.anything() }

  for (const key of oddKeys) {
    const batch = table.openBatch(key)
    for (const rowKey of oddKeys) batch.insert(rowKey, toMembers(values))
    await table.insert(batch)
  }

  for (const partitionKey of oddKeys) {
    const { rows } = await table.page({ partitionKey })
    expect(rows.map(({ rowKey }) => rowKey)).toEqual(oddKeys.toSorted())
    for (const row of rows) {
      expect(row.columns).toMatchObject(same)
      expect(await table.get(partitionKey, row.rowKey)).toEqual(row)
    }
  }
})

describe('what the service refuses is refused before it is sent', () => {
  const open = () => createBatch('http://host/acc/Things', 'p')

  test('a hundred and one operations', () => {
    const batch = open()
    for (let n = 0; n < 100; n++) batch.insert(String(n), '')

    expect(() => batch.insert('100', '')).toThrow('at most 100 operations')
    expect(batch.length).toBe(100)
  })

  test('a row that is named twice', () => {
    const batch = open()
    batch.insert('a', '')

    expect(() => batch.insert('a', '')).toThrow('names a row twice')
    expect(() => batch.add({ kind: 'delete', partitionKey: 'p', rowKey: 'a' })).toThrow('twice')
    expect(batch.length).toBe(1)
  })

  test('a row of another partition', () => {
    expect(() => open().add({ kind: 'delete', partitionKey: 'q', rowKey: 'a' })).toThrow(
      'one partition',
    )
  })

  test('more than 4 MiB in one request', () => {
    const batch = open()
    const columns = { a: 'ä'.repeat(400_000) }
    const add = () => batch.insert(String(batch.length), toMembers(columns))
    for (let n = 0; n < 5; n++) add()
    const before = batch.body().toString()

    expect(add).toThrow(expect.objectContaining({ reason: 'too-large', index: 5 }))
    expect(batch.body().toString()).toBe(before)
  })

  test('an entity of more than 1 MiB, by the formula of the service', () => {
    // Names and texts take two bytes a character there, one in the request.
    const size = (letters: number) => ({ a: 'x'.repeat(letters / 2), b: 'x'.repeat(letters / 2) })

    open().insert('a', toMembers(size(522_000)))
    expect(() => open().insert('a', toMembers(size(526_000)))).toThrow(
      expect.objectContaining({ reason: 'too-large', index: 0 }),
    )
  })

  test.each([
    'a/b',
    'a\\b',
    'a#b',
    'a?b',
    'a\nb',
    'a\u0000',
    'a\u007f',
    'a\u0085',
    'x'.repeat(513),
  ])('the key %j', (key) => {
    expect(() => open().insert(key, '')).toThrow('the table service refuses')
    expect(() => createBatch('http://host/acc/Things', key)).toThrow('the table service refuses')
  })
})

test('any rows can leave a batch, which then is as if they had never been in it', () => {
  const row = fc.record({
    key: fc.nat(30).map(String),
    text: fc.string({ unit: 'binary' }),
    leaves: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.uniqueArray(row, { selector: ({ key }) => key }), (rows) => {
      const [batch, expected] = [
        createBatch('http://h/Things', 'p'),
        createBatch('http://h/Things', 'p'),
      ]
      for (const { key, text } of rows) batch.insert(key, toMembers({ text }))
      for (const { key, text, leaves } of rows)
        if (!leaves) expected.insert(key, toMembers({ text }))

      for (const { key, leaves } of rows) if (leaves) batch.remove(batch.indexOf(key) ?? -1)

      expect(batch.body().toString()).toBe(expected.body().toString())
      expect(batch.length).toBe(expected.length)
      for (const { key } of rows) expect(batch.indexOf(key)).toBe(expected.indexOf(key))
      const kept = rows.filter(({ leaves, text }) => !leaves && text.isWellFormed())
      for (const { key, text } of kept)
        expect(batch.row(batch.indexOf(key) ?? -1)).toEqual({ rowKey: key, columns: { text } })
      batch.clear()
      expect(batch.body().toString()).toBe(createBatch('http://h/Things', 'p').body().toString())
    }),
  )
})

test('a row that is read from its bytes is the row that was added', () => {
  const batch = createBatch('http://host/acc/Things', 'p')

  batch.insert('a', toMembers(values))

  expect(batch.row(0)).toEqual({ rowKey: 'a', columns: { ...values, minusZero: 0 } })
})
