import { beforeEach, describe, expect, test } from 'vitest'
import { createTables } from '../../shared/platform/azure-table.ts'
import { ConfigError, UpstreamError, type UpstreamFacts } from '../../shared/platform/errors.ts'
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
  [{ status: 400 }, 'incompatible'],
  [{ status: 415 }, 'incompatible'],
  [{ status: 501 }, 'incompatible'],
  [{ status: 429 }, 'throttled'],
  [{ status: 503 }, 'unreachable'],
  [{ reason: 'network' }, 'unreachable'],
  [{ reason: 'timeout' }, 'unreachable'],
])(
  'a call about no object that failed with %j leaves the upstream %s, and its error passes unchanged',
  async (facts, state) => {
    const error = failure(facts)

    await expect(fail(error)).rejects.toBe(error)

    expect(await open().report()).toEqual({
      state,
      lastOkAt: null,
      lastError: {
        at: '1970-01-01T00:00:00.000Z',
        since: '1970-01-01T00:00:00.000Z',
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

test('without an identity the upstream is not ok, with the cause, until a call is made', async () => {
  const problem = 'is not set, or names no identity that may sign in here'
  const error = new ConfigError('identity', [{ setting: 'AZURE_CLIENT_ID', problem }])
  await open().track(async () => 1)
  await clock.advance(3_600_000)

  await expect(fail(error)).rejects.toBe(error)
  const first = await open().report()
  await clock.advance(3_600_000)
  const later = await open().report()
  await open().track(async () => 1)

  expect([first.state, later.state, (await open().report()).state]).toEqual([
    'no-identity',
    'no-identity',
    'ok',
  ])
  expect(first.lastError).toEqual({
    at: '1970-01-01T01:00:00.000Z',
    since: '1970-01-01T01:00:00.000Z',
    status: null,
    title: `identity: AZURE_CLIENT_ID ${problem}`,
    missing: ['AZURE_CLIENT_ID'],
  })
})

test('an error passes unchanged even when it cannot be recorded', async () => {
  const error = failure({ status: 403 })
  await table.drop()

  await expect(fail(error)).rejects.toBe(error)
})

test('an answer that there is no such object says nothing', async () => {
  await open().track(async () => undefined)

  expect((await open().report()).state).toBe('unknown')
})

describe('a call about one object', () => {
  const broken = { status: 500, retryable: true }
  const hung = { reason: 'timeout', retryable: true } as const
  type Health = ReturnType<typeof open>
  const failFor = async (health: Health, object: string, facts: Partial<UpstreamFacts>) => {
    await expect(health.track(() => Promise.reject(failure(facts)), object)).rejects.toThrow()
    return (await health.report()).state
  }

  test.each([broken, hung])(
    'that fails with %j is not the fault of the upstream, however often it is made',
    async (facts) => {
      const health = open()

      for (const _try of [1, 2, 3, 4]) expect(await failFor(health, 'a', facts)).toBe('unknown')
    },
  )

  test.each([broken, hung])(
    'that fails with %j for three objects in a row is the fault of the upstream, until it passes',
    async (facts) => {
      const health = open()

      const states = [
        await failFor(health, 'a', facts),
        await failFor(health, 'b', facts),
        await failFor(health, 'c', facts),
      ]
      await clock.advance(15 * 60_000)

      expect(states).toEqual(['unknown', 'unknown', 'unreachable'])
      expect((await health.report()).state).toBe('unknown')
    },
  )

  test('that fails for three objects is no row when a good call or time lies between them', async () => {
    const health = open()

    await failFor(health, 'a', broken)
    await failFor(health, 'b', broken)
    await health.track(async () => 'good')
    expect(await failFor(health, 'c', broken)).toBe('ok')
    await failFor(health, 'd', broken)
    await clock.advance(16 * 60_000)
    expect(await failFor(health, 'e', broken)).toBe('ok')
  })

  test.each<[Partial<UpstreamFacts>, string]>([
    [{ reason: 'network', code: 'ECONNREFUSED', retryable: true }, 'unreachable'],
    [{ reason: 'network', code: 'CERT_HAS_EXPIRED' }, 'unreachable'],
    [{ status: 401 }, 'forbidden'],
    [{ status: 429, retryable: true }, 'throttled'],
    [{ status: 404 }, 'gone'],
    [{ reason: 'network', code: 'ECONNRESET', retryable: true }, 'unknown'],
    [{ status: 400 }, 'unknown'],
    [{ status: 403, itemOnly: true }, 'unknown'],
  ])('that fails with %j leaves the upstream %s', async (facts, state) => {
    expect(await failFor(open(), 'a', facts)).toBe(state)
  })
})

test.each([
  ['throttled', { status: 429 }],
  ['unreachable', { reason: 'network' as const }],
])('an upstream that was %s is unknown after a quarter of an hour', async (state, facts) => {
  await expect(fail(failure(facts))).rejects.toThrow()
  await clock.advance(15 * 60_000 - 1)
  expect((await open().report()).state).toBe(state)
  await clock.advance(1)
  expect(await open().report()).toMatchObject({ state: 'unknown', lastError: expect.anything() })
})

test('an error says since when it lasts; another state or a good call begins it again', async () => {
  const sinceAfter = async (ms: number, status: number) => {
    await clock.advance(ms)
    await fail(failure({ status })).catch(() => {})
    return (await open().report()).lastError?.since?.slice(14, 19)
  }

  const lasting = [await sinceAfter(1000, 404), await sinceAfter(60_000, 404)]
  const other = await sinceAfter(60_000, 503)
  const same = await sinceAfter(60_000, 500)
  await clock.advance(60_000)
  await open().track(async () => 'fine')

  expect([...lasting, other, same]).toEqual(['00:01', '00:01', '02:01', '02:01'])
  expect(await sinceAfter(60_000, 500)).toBe('05:01')
})
