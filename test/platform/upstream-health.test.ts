import { beforeEach, expect, test } from 'vitest'
import { createTables } from '../../shared/platform/azure-table.ts'
import { UpstreamError, type UpstreamFacts } from '../../shared/platform/errors.ts'
import type { Table } from '../../shared/platform/table.ts'
import { createUpstreamHealth } from '../../shared/platform/upstream-health.ts'
import { freshStorage } from '../storage.ts'
import { createStillClock, type StillClock } from './still-clock.ts'

let clock: StillClock
let table: Table

beforeEach(async () => {
  clock = createStillClock()
  table = createTables({ connectionString: await freshStorage() })('Budgets')
  await table.create()
})

const open = (upstream = 'defender') => createUpstreamHealth(table, upstream, clock)
const failure = (facts: Partial<UpstreamFacts>) =>
  new UpstreamError({
    upstream: 'defender',
    call: 'GET /api/x',
    retryable: false,
    reason: 'refused',
    ...facts,
  })
const fail = (error: unknown) => open().track(() => Promise.reject(error))

test('the state of an upstream that was never called is unknown', async () => {
  expect(await open().report()).toEqual({ state: 'unknown', lastOkAt: null, lastError: null })
})

test('a good call is recorded for every instance, and its answer passes unchanged', async () => {
  await clock.advance(1000)

  const answer = await open().track(async () => ({ files: 3 }))

  expect(answer).toEqual({ files: 3 })
  expect(await open().report()).toEqual({
    state: 'ok',
    lastOkAt: '1970-01-01T00:00:01.000Z',
    lastError: null,
  })
  expect((await open('tenable').report()).state).toBe('unknown')
})

test.each<[Partial<UpstreamFacts>, string]>([
  [{ status: 401 }, 'forbidden'],
  [{ status: 403, missing: ['Machine.Read.All'] }, 'forbidden'],
  [{ status: 404 }, 'gone'],
  [{ status: 410 }, 'gone'],
  [{ status: 429 }, 'throttled'],
  [{ status: 503 }, 'unreachable'],
  [{ reason: 'network' }, 'unreachable'],
  [{ reason: 'timeout' }, 'unreachable'],
])(
  'a call that failed with %j leaves the upstream %s, and its error passes unchanged',
  async (facts, state) => {
    const error = failure(facts)

    await expect(fail(error)).rejects.toBe(error)

    expect(await open().report()).toEqual({
      state,
      lastOkAt: null,
      lastError: {
        at: '1970-01-01T00:00:00.000Z',
        status: facts.status ?? null,
        title: error.message,
        missing: facts.missing ?? [],
      },
    })
  },
)

test('a good call leaves the last error in the report', async () => {
  await expect(fail(failure({ status: 403 }))).rejects.toThrow()
  await clock.advance(1000)

  await open().track(async () => 1)

  expect(await open().report()).toMatchObject({
    state: 'ok',
    lastOkAt: '1970-01-01T00:00:01.000Z',
    lastError: { at: '1970-01-01T00:00:00.000Z', status: 403 },
  })
})

test('the time of the last good call is exact to a minute and not written at every call', async () => {
  let writes = 0
  const transact: Table['transact'] = (operations) => {
    writes += 1
    return table.transact(operations)
  }
  const health = createUpstreamHealth({ ...table, transact }, 'defender', clock)

  for (let tick = 0; tick < 12; tick++) {
    await health.track(async () => tick)
    const { lastOkAt } = await health.report()
    expect(clock.now().getTime() - Date.parse(lastOkAt ?? '')).toBeLessThan(60_000)
    await clock.advance(15_000)
  }

  expect(writes).toBe(3)
})

test.each([failure({ status: 429, code: 'OwnBudget' }), new TypeError('a bug')])(
  'an error that no upstream caused is not recorded: %s',
  async (error) => {
    await expect(fail(error)).rejects.toBe(error)

    expect((await open().report()).state).toBe('unknown')
  },
)

test('an error passes unchanged even when it cannot be recorded', async () => {
  const error = failure({ status: 403 })
  await table.drop()

  await expect(fail(error)).rejects.toBe(error)
})
