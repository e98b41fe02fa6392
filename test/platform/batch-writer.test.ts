import { RestError } from '@azure/data-tables'
import { beforeEach, describe, expect, test } from 'vitest'
import { createAdjustableClock } from '../../local/clock.ts'
import { createTables } from '../../shared/platform/azure-table.ts'
import { createBatchWriter } from '../../shared/platform/batch-writer.ts'
import { type Batch, type Table, TableConflict } from '../../shared/platform/table.ts'
import { createMemoryTable } from '../memory-table.ts'
import { freshStorage } from '../storage.ts'
import { createStillClock } from './still-clock.ts'

let table: Table
const clock = createAdjustableClock()
const rows = (of: Table, partitionKey: string, ...keys: string[]): Batch => {
  const batch = of.openBatch(partitionKey)
  for (const key of keys) batch.insert(key, '"n":1')
  return batch
}
const hundred = Array.from({ length: 100 }, (_, n) => String(n).padStart(3, '0'))
const keysOf = async (of: Table) => (await Array.fromAsync(of.list({}))).map(({ rowKey }) => rowKey)

beforeEach(async () => {
  table = createTables({ connectionString: await freshStorage() })('Things')
  await table.create()
})

test('a batch of new rows is written as a whole, a hundred at once', async () => {
  const writer = createBatchWriter({ inFlight: 2, clock })

  const outcome = await writer.insert(table, rows(table, 'p', ...hundred))

  expect(outcome).toEqual({ written: true })
  expect(await keysOf(table)).toEqual(hundred)
})

test('a batch with a row that exists writes nothing and names that row', async () => {
  const writer = createBatchWriter({ inFlight: 2, clock })
  await writer.insert(table, rows(table, 'p', 'c'))

  const outcome = await writer.insert(table, rows(table, 'p', 'a', 'b', 'c', 'd'))

  expect(outcome).toEqual({ written: false, existsAt: 2 })
  expect(await keysOf(table)).toEqual(['c'])
})

/** A table whose writes the test controls. */
const doing = (insert: Table['insert'], name = 'Things'): Table => ({
  ...createMemoryTable(name),
  insert,
})
const refusing = (reason: 'too-large' | 'no-table') =>
  doing(() => Promise.reject(new TableConflict(reason, 0)))

test('a batch that is too large is reported, since halves may fit; a single row is an error', async () => {
  const writer = createBatchWriter({ inFlight: 1, clock })
  const small = refusing('too-large')

  const outcome = await writer.insert(small, rows(small, 'p', 'a', 'b'))

  expect(outcome).toEqual({ written: false, tooLarge: true })
  await expect(writer.insert(small, rows(small, 'p', 'a'))).rejects.toMatchObject({
    reason: 'too-large',
  })
})

test('every other refusal is thrown at once, and the next batch is written', async () => {
  const writer = createBatchWriter({ inFlight: 1, clock })
  const dropped = refusing('no-table')
  const forbidden = doing(() => Promise.reject(new RestError('no', { statusCode: 403 })))
  let sent = 0
  const silent = doing(() => {
    sent += 1
    return Promise.reject(new RestError('no', { code: 'StorageTimeout' }))
  })

  for (const one of [dropped, forbidden, silent])
    await expect(writer.insert(one, rows(one, 'p', 'a'))).rejects.toThrow()
  expect(sent).toBe(1)

  expect(await writer.insert(table, rows(table, 'p', 'a'))).toEqual({ written: true })
})

test('after a pause, a writer catches up for 50 ms and no more', async () => {
  const still = createStillClock()
  const rates = { account: 1000, partition: 1000 }
  const writer = createBatchWriter({ inFlight: 4, clock: still, rates })
  let sent = 0
  const free = doing(async () => {
    sent += 1
  })
  await still.advance(60_000)

  const both = ['p', 'q'].map((key) => writer.insert(free, rows(free, key, ...hundred)))
  await new Promise((resolve) => setImmediate(resolve))
  const atOnce = sent
  await still.advance(50)
  await Promise.all(both)

  expect([atOnce, sent]).toEqual([1, 2])
})

test('at most `inFlight` requests run at a time for all tables together, in their order', async () => {
  const writer = createBatchWriter({ inFlight: 3, clock })
  const underWay: (() => void)[] = []
  const order: string[] = []
  let most = 0
  const slow = () =>
    doing(async (batch) => {
      order.push(batch.row(0).rowKey)
      await new Promise<void>((resolve) => {
        most = Math.max(most, underWay.push(resolve))
      })
    })
  const turn = () => new Promise((resolve) => setImmediate(resolve))
  const [one, other] = [slow(), slow()]
  const keys = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']
  const batches: Promise<unknown>[] = []

  // The second time, no more requests may run at once than the first time.
  for (const round of [1, 2]) {
    const tables = keys.map((_, n) => (n % 2 === 0 ? one : other))
    batches.push(...tables.map((of, n) => writer.insert(of, rows(of, 'p', keys[n] ?? ''))))
    while (order.length < round * keys.length || underWay.length > 0) {
      await turn()
      underWay.shift()?.()
    }
  }

  expect(await Promise.all(batches)).toHaveLength(16)
  expect(most).toBe(3)
  expect(order).toEqual([...keys, ...keys])
})

test('a reader waits while as many batches wait as can be sent at once', async () => {
  const writer = createBatchWriter({ inFlight: 2, clock })
  const open: (() => void)[] = []
  const slow = doing(() => new Promise((resolve) => open.push(resolve)))
  let isFree = false
  const sent = hundred.slice(0, 4).map((key) => writer.insert(slow, rows(slow, key, 'a')))

  const room = writer.room().then(() => {
    isFree = true
  })
  await new Promise((resolve) => setImmediate(resolve))
  expect(isFree).toBe(false)
  open.shift()?.()
  await room

  expect(isFree).toBe(true)
  while (open.length > 0) {
    open.shift()?.()
    await new Promise((resolve) => setImmediate(resolve))
  }
  expect(await Promise.all(sent)).toHaveLength(4)
})

describe('rates', () => {
  /** A service that takes so many rows a second and says busy above, and what it was asked. */
  function limited(still: ReturnType<typeof createStillClock>, rate: number, name = 'Things') {
    const seen = { taken: 0, busy: 0 }
    let tokens = rate / 4
    let atMs = 0
    const of = doing(async (batch) => {
      const nowMs = still.now().getTime()
      tokens = Math.min(rate / 4, tokens + ((nowMs - atMs) / 1000) * rate)
      atMs = nowMs
      if (tokens < batch.length) {
        seen.busy += 1
        throw new RestError('busy', { statusCode: 503, code: 'ServerBusy' })
      }
      tokens -= batch.length
      seen.taken += batch.length
    }, name)
    return { of, seen }
  }

  /** Writes full batches into partitions in turn for some seconds. */
  async function write(
    still: ReturnType<typeof createStillClock>,
    of: Table,
    partitions: number,
    seconds: number,
  ) {
    const writer = createBatchWriter({ inFlight: 8, clock: still })
    let isOver = false
    const workers = Array.from({ length: 16 }, async (_, worker) => {
      for (let n = worker; !isOver; n += 16)
        await writer.insert(of, rows(of, String(n % partitions), ...hundred))
    })
    await still.advance(seconds * 1000)
    isOver = true
    const ended = Promise.allSettled(workers)
    await still.advance(600_000)
    await ended
  }

  test('an account gets what it takes, and is never too busy', async () => {
    const still = createStillClock()
    const { of, seen } = limited(still, 20_000)

    await write(still, of, 16, 10)

    expect(seen.busy).toBe(0)
    expect(seen.taken).toBeGreaterThan(20_000 * 10 * 0.97)
  })

  test('a partition gets what it takes', async () => {
    const still = createStillClock()
    const { of, seen } = limited(still, 2000)

    await write(still, of, 1, 10)

    expect(seen.busy).toBe(0)
    expect(seen.taken).toBeGreaterThan(2000 * 10 * 0.97)
  })

  test.each([
    [10_000, 16],
    [1000, 1],
  ])(
    'half of the published rate, %i rows a second, is learned from refusals',
    async (rate, partitions) => {
      const still = createStillClock()
      const { of, seen } = limited(still, rate)

      await write(still, of, partitions, 60)

      expect(seen.taken).toBeGreaterThan(rate * 60 * 0.85)
      expect(seen.busy / (seen.busy + seen.taken / 100)).toBeLessThan(0.15)
    },
  )

  test('a clock that is set back does not stop the writes', async () => {
    const still = createStillClock()
    let offsetMs = 0
    const moved = { ...still, now: () => new Date(still.now().getTime() + offsetMs) }
    const { of, seen } = limited(still, 20_000)
    const writer = createBatchWriter({ inFlight: 8, clock: moved })
    await still.advance(86_400_000)
    await writer.insert(of, rows(of, 'p', 'a'))

    offsetMs = -86_400_000
    const second = writer.insert(of, rows(of, 'p', 'b'))
    await still.advance(1000)

    expect(await second).toEqual({ written: true })
    expect(seen.taken).toBe(2)
  })

  test('a service that does not answer is tried again, and given up in the end', async () => {
    const still = createStillClock()
    let tries = 0
    const of = doing(() => {
      tries += 1
      return Promise.reject(new RestError('no answer', { code: 'ECONNRESET' }))
    })

    const outcome = createBatchWriter({ inFlight: 1, clock: still }).insert(of, rows(of, 'p', 'a'))
    const refused = expect(outcome).rejects.toThrow('no answer')
    await still.advance(60_000)

    await refused
    expect(tries).toBe(4)
  })
})
