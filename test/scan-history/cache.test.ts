import { randomBytes } from 'node:crypto'
import { gunzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { createAdjustableClock } from '../../local/clock.ts'
import { createTables } from '../../shared/platform/azure-table.ts'
import type { Table } from '../../shared/platform/table.ts'
import { createScanCache, type ScanCache, tagOf } from '../../shared/scan-history/cache.ts'
import { createMemoryTable } from '../memory-table.ts'
import { freshStorage } from '../storage.ts'

const key = { kind: 'tenable-scan', id: '7', part: 'run-1' }
const entry = (answer: object, raw: unknown = answer) => ({
  answer: { ...answer },
  raw,
  tag: tagOf(JSON.stringify(answer), JSON.stringify(raw)),
  final: true,
})

async function inMemory() {
  const table = createMemoryTable('ScanCache')
  await table.create()
  const clock = createAdjustableClock()
  return { table, clock, cache: createScanCache(table, clock) }
}

async function answerIn(cache: ScanCache) {
  const found = await cache.get(key)
  return found && 'packed' in found ? JSON.parse(gunzipSync(found.packed).toString()) : found
}

async function rowsOf(table: Table) {
  const rows = []
  for await (const row of table.list({})) rows.push(row)
  return rows
}

test('an entry too large for a row is split over several and is read whole, on the real table service', async () => {
  const table = createTables({ connectionString: await freshStorage() })('ScanCache')
  await table.create()
  const clock = createAdjustableClock()
  const raw = randomBytes(1_500_000).toString('base64')
  const large = { ...entry({ umlaut: 'ä😀' }, raw) }

  await createScanCache(table, clock).put(key, large, 60_000)
  const other = createScanCache(table, clock)

  expect(await answerIn(other)).toEqual({ ...large.answer, cached: { at: expect.any(String) } })
  expect(await other.get(key)).toMatchObject({ tag: large.tag, final: true })
  expect((await other.raw(key, large.tag)) === JSON.stringify(raw)).toBe(true)
  expect((await rowsOf(table)).length).toBeGreaterThan(3)
})

test('an entry too large for a transaction is not cached, and never cut', async () => {
  const { table, cache } = await inMemory()
  const large = entry({}, randomBytes(4_000_000).toString('base64'))

  await cache.put(key, large, 60_000)

  expect(await answerIn(cache)).toMatchObject({})
  expect(await cache.raw(key, large.tag)).toBeUndefined()
  expect(await rowsOf(table)).toHaveLength(1)
})

test('an entry is read until it expires, and then deleted', async () => {
  const { table, clock, cache } = await inMemory()
  await cache.put(key, entry({ n: 1 }), 30_000)
  await cache.put({ ...key, id: '8' }, entry({ n: 2 }), 3_600_000)

  clock.advance(29_000)
  const before = await answerIn(cache)
  clock.advance(2000)
  const after = await cache.get(key)
  await cache.sweep()

  expect(before).toMatchObject({ n: 1 })
  expect(after).toBeUndefined()
  expect((await rowsOf(table)).map(({ partitionKey }) => partitionKey)).toEqual([
    'tenable-scan|8',
    'tenable-scan|8',
  ])
})

test('rows of two writers are never joined', async () => {
  const { table, cache } = await inMemory()
  const [one, two] = [1, 2].map((n) => entry({ n }, randomBytes(700_000).toString('base64') + n))
  if (!one || !two) throw new Error('there are two')
  await cache.put(key, one, 60_000)
  const [, second] = (await rowsOf(table)).filter(({ rowKey }) => rowKey.includes('|raw|'))
  await cache.put(key, two, 60_000)

  // As if the second row of the first writer came late.
  const { partitionKey = '', rowKey = '', columns = {} } = second ?? {}
  await table.transact([{ kind: 'upsert', partitionKey, rowKey, columns }])

  expect(await cache.raw(key, two.tag)).toBeUndefined()
  expect(await cache.raw(key, one.tag)).toBeUndefined()
  expect(await answerIn(cache)).toMatchObject({ n: 2 })
})

test('the raw part of another answer is not given out, and the rest of a longer one is not read', async () => {
  const { cache } = await inMemory()
  const long = entry({ n: 1 }, randomBytes(700_000).toString('base64'))
  const short = entry({ n: 2 }, { raw: 2 })
  await cache.put(key, long, 60_000)

  await cache.put(key, short, 60_000)

  expect(await cache.raw(key, long.tag)).toBeUndefined()
  expect(await cache.raw(key, short.tag)).toBe('{"raw":2}')
})

test('an alias names the part that has the answer, until it expires', async () => {
  const { clock, cache } = await inMemory()
  await cache.putAlias({ ...key, part: 'latest' }, 'run-1', 30_000)

  const before = await cache.get({ ...key, part: 'latest' })
  clock.advance(31_000)

  expect(before).toEqual({ alias: 'run-1' })
  expect(await cache.get({ ...key, part: 'latest' })).toBeUndefined()
})

test('keys with the same beginning are different keys', async () => {
  const { cache } = await inMemory()
  await cache.put({ ...key, part: '10-0' }, entry({ n: 1 }), 60_000)

  const others = [
    { part: '10-00' },
    { part: '10' },
    { part: '1' },
    { id: '77' },
    { kind: 'tenable-runs' },
  ]

  for (const other of others)
    expect(await cache.get({ ...key, part: '10-0', ...other })).toBeUndefined()
})
