import { expect, test } from 'vitest'
import { createAdjustableClock } from '../../local/clock.ts'
import { RequestError, UpstreamError } from '../../shared/platform/errors.ts'
import { singleFlight } from '../../shared/platform/single-flight.ts'
import { createScanCache, type ScanCache } from '../../shared/scan-history/cache.ts'
import { type Entry, type LookupDeps, lookup } from '../../shared/scan-history/lookup.ts'
import type { Alias, Fetched, Query } from '../../shared/scan-history/source.ts'
import { createMemoryTable } from '../memory-table.ts'

type Answers = Record<string, Fetched | Alias | Error>

/** A query that answers from a list, by id and part, and the deps of a look-up. */
async function createLookup(answers: Answers, replaced: Partial<ScanCache> = {}) {
  const table = createMemoryTable('ScanCache')
  await table.create()
  const clock = createAdjustableClock()
  const calls: string[] = []
  const failures: unknown[] = []
  const query: Query = {
    kind: 'tenable-scan',
    async fetch(ids, part) {
      calls.push(`${ids}|${part}`)
      const found = ids.flatMap((id) => {
        const answer = answers[`${id}|${part}`]
        if (answer instanceof Error) throw answer
        return answer ? [[id, answer] as const] : []
      })
      return new Map(found)
    },
  }
  const real: ScanCache = createScanCache(table, clock)
  const cache = { ...real, ...replaced }
  const deps: LookupDeps = {
    cache,
    clock,
    join: singleFlight((_key: string, work: () => Promise<Map<string, Entry>>) => work()),
    finalMs: 90 * 24 * 3_600_000,
    onCacheFailure: (error) => void failures.push(error),
  }
  return { deps, query, calls, clock, failures, answers }
}

const found = (n: number, more: Partial<Fetched> = {}): Fetched => ({
  answer: { n },
  raw: { n },
  final: true,
  ...more,
})

test('a final answer is fetched once, another one again after half a minute', async () => {
  const { deps, query, calls, clock } = await createLookup({
    'a|latest': found(1),
    'b|latest': found(2, { final: false }),
  })

  for (const ms of [0, 29_000, 2000]) {
    clock.advance(ms)
    await lookup(deps, query, ['a'])
    await lookup(deps, query, ['b'])
  }

  expect(calls).toEqual(['a|latest', 'b|latest', 'b|latest'])
})

test('of several ids, one call fetches those that are not cached', async () => {
  const { deps, query, calls } = await createLookup({
    'a|latest': found(1),
    'b|latest': found(2),
    'c|latest': found(3),
  })
  await lookup(deps, query, ['b'])

  const entries = await lookup(deps, query, ['a', 'b', 'c', 'd'])

  const answers = [...entries].map(async ([id, entry]) => [id, (await entry.answer()).n])
  expect(await Promise.all(answers)).toEqual([
    ['a', 1],
    ['b', 2],
    ['c', 3],
  ])
  expect(calls).toEqual(['b|latest', 'a,c,d|latest'])
})

test('the latest run is resolved again after half a minute, and its answer is fetched once', async () => {
  const { deps, query, calls, clock, answers } = await createLookup({
    'a|latest': { alias: 'r1' },
    'a|r1': found(1),
  })

  await lookup(deps, query, ['a'])
  await lookup(deps, query, ['a'])
  clock.advance(31_000)
  await lookup(deps, query, ['a'])
  answers['a|latest'] = { alias: 'r2' }
  answers['a|r2'] = found(2)
  clock.advance(31_000)
  const entry = (await lookup(deps, query, ['a'])).get('a')

  expect(await entry?.answer()).toMatchObject({ n: 2 })
  expect(calls).toEqual(['a|latest', 'a|r1', 'a|latest', 'a|latest', 'a|r2'])
})

test('no call left is a 429 for every caller who waits, and for no later caller', async () => {
  const facts = {
    upstream: 'tenable',
    call: 'calls of scans',
    reason: 'refused',
    retryable: true,
  } as const
  const noCallLeft = new UpstreamError({
    ...facts,
    status: 429,
    code: 'OwnBudget',
    retryAfterMs: 7000,
  })
  const { deps, query, calls, answers } = await createLookup({ 'a|latest': noCallLeft })

  const refused = await Promise.allSettled([lookup(deps, query, ['a']), lookup(deps, query, ['a'])])
  answers['a|latest'] = found(1)
  const later = await lookup(deps, query, ['a'])

  const reasons = refused.map((one) => (one.status === 'rejected' ? one.reason : one))
  expect(reasons).toEqual([expect.any(RequestError), expect.any(RequestError)])
  expect(reasons[0].facts).toMatchObject({
    status: 429,
    problem: 'upstream-throttled',
    detail: "tenable: calls of scans: the app's own budget allows no call now",
    fix: 'Send the request again after Retry-After.',
    retryAfterMs: 7000,
  })
  expect(await later.get('a')?.answer()).toEqual({ n: 1 })
  expect(calls).toHaveLength(2)
})

test('an answer that could not be cached is still answered', async () => {
  const { deps, query, failures } = await createLookup(
    { 'a|latest': { alias: 'r' }, 'a|r': found(1) },
    {
      put: async () => Promise.reject(new Error('no storage')),
      putAlias: async () => Promise.reject(new Error('none')),
    },
  )

  const entry = (await lookup(deps, query, ['a'])).get('a')

  expect(await entry?.answer()).toEqual({ n: 1 })
  expect(failures).toHaveLength(2)
})

test('a raw answer that was too large for the cache is fetched again, once for all callers', async () => {
  const { deps, query, calls } = await createLookup(
    { 'a|latest': found(1) },
    { raw: async () => undefined },
  )
  await lookup(deps, query, ['a'])

  const entries = await Promise.all([1, 2, 3].map(() => lookup(deps, query, ['a'])))
  const raws = await Promise.all(entries.map((entry) => entry.get('a')?.withRaw()))

  expect(raws.map((raw) => raw?.raw)).toEqual([{ n: 1 }, { n: 1 }, { n: 1 }])
  expect(calls).toEqual(['a|latest', 'a|latest'])
})

test('a caller who waits too long gets a timeout, and the work is not started twice', async () => {
  const { deps, query, clock, calls } = await createLookup({})
  const slow: Query = {
    ...query,
    fetch: async (ids, part) => {
      calls.push(`${ids}|${part}`)
      return new Promise(() => {})
    },
  }

  const waiting = lookup(deps, slow, ['a'])
  const also = lookup(deps, slow, ['a'])
  const results = Promise.allSettled([waiting, also])
  while (calls.length === 0) await undefined
  clock.advance(91_000)

  expect(await results).toMatchObject([
    { status: 'rejected', reason: { facts: { reason: 'timeout', upstream: 'tenable' } } },
    { status: 'rejected' },
  ])
  expect(calls).toHaveLength(1)
})
