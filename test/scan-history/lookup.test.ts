import { expect, test } from 'vitest'
import { createAdjustableClock } from '../../local/clock.ts'
import { RequestError, UpstreamError } from '../../shared/platform/errors.ts'
import { singleFlight } from '../../shared/platform/single-flight.ts'
import { createScanCache, type ScanCache } from '../../shared/scan-history/cache.ts'
import { type Entry, type LookupDeps, lookup } from '../../shared/scan-history/lookup.ts'
import type { Alias, Fetched, Query } from '../../shared/scan-history/source.ts'
import { createMemoryTable } from '../memory-table.ts'

type Answers = Record<string, Fetched | Alias | Error>

/** A question whose answers stand in a list, by id and part, and a look-up's parts. */
async function asking(answers: Answers, changed: Partial<ScanCache> = {}) {
  const table = createMemoryTable('ScanCache')
  await table.create()
  const clock = createAdjustableClock()
  const asked: string[] = []
  const failures: unknown[] = []
  const question: Query = {
    kind: 'tenable-scan',
    async fetch(ids, part) {
      asked.push(`${ids}|${part}`)
      const found = ids.flatMap((id) => {
        const answer = answers[`${id}|${part}`]
        if (answer instanceof Error) throw answer
        return answer ? [[id, answer] as const] : []
      })
      return new Map(found)
    },
  }
  const cache = { ...createScanCache(table, clock), ...changed }
  const deps: LookupDeps = {
    cache,
    clock,
    join: singleFlight((_key: string, work: () => Promise<Map<string, Entry>>) => work()),
    finalMs: 90 * 24 * 3_600_000,
    onCacheFailure: (error) => void failures.push(error),
  }
  return { deps: deps, question, asked, clock, failures, answers }
}

const found = (n: number, more: Partial<Fetched> = {}): Fetched => ({
  answer: { n },
  raw: { n },
  final: true,
  ...more,
})

test('what will not change is asked for once, what may is asked for again after half a minute', async () => {
  const { deps, question, asked, clock } = await asking({
    'a|latest': found(1),
    'b|latest': found(2, { final: false }),
  })

  for (const ms of [0, 29_000, 2000]) {
    clock.advance(ms)
    await lookup(deps, question, ['a'])
    await lookup(deps, question, ['b'])
  }

  expect(asked).toEqual(['a|latest', 'b|latest', 'b|latest'])
})

test('of several ids only those that are not there are asked for, together', async () => {
  const { deps, question, asked } = await asking({
    'a|latest': found(1),
    'b|latest': found(2),
    'c|latest': found(3),
  })
  await lookup(deps, question, ['b'])

  const entries = await lookup(deps, question, ['a', 'b', 'c', 'd'])

  expect([...entries].map(([id, { answer }]) => [id, answer.n])).toEqual([
    ['a', 1],
    ['b', 2],
    ['c', 3],
  ])
  expect(asked).toEqual(['b|latest', 'a,c,d|latest'])
})

test('the latest is looked for anew after half a minute, and its answer is asked for once', async () => {
  const { deps, question, asked, clock, answers } = await asking({
    'a|latest': { alias: 'r1' },
    'a|r1': found(1),
  })

  await lookup(deps, question, ['a'])
  await lookup(deps, question, ['a'])
  clock.advance(31_000)
  await lookup(deps, question, ['a'])
  answers['a|latest'] = { alias: 'r2' }
  answers['a|r2'] = found(2)
  clock.advance(31_000)
  const entry = (await lookup(deps, question, ['a'])).get('a')

  expect(entry?.answer).toEqual({ n: 2 })
  expect(asked).toEqual(['a|latest', 'a|r1', 'a|latest', 'a|latest', 'a|r2'])
})

test('a refusal for want of calls is the caller’s 429, everybody’s who waits, and nobody’s who comes later', async () => {
  const facts = {
    upstream: 'tenable',
    call: 'calls of scans',
    reason: 'refused',
    retryable: true,
  } as const
  const refusal = new UpstreamError({
    ...facts,
    status: 429,
    code: 'OwnBudget',
    retryAfterMs: 7000,
  })
  const { deps, question, asked, answers } = await asking({ 'a|latest': refusal })

  const refused = await Promise.allSettled([
    lookup(deps, question, ['a']),
    lookup(deps, question, ['a']),
  ])
  answers['a|latest'] = found(1)
  const later = await lookup(deps, question, ['a'])

  const reasons = refused.map((one) => (one.status === 'rejected' ? one.reason : one))
  expect(reasons).toEqual([expect.any(RequestError), expect.any(RequestError)])
  expect(reasons[0].facts).toMatchObject({
    status: 429,
    problem: 'upstream-throttled',
    retryAfterMs: 7000,
  })
  expect(later.get('a')?.answer).toEqual({ n: 1 })
  expect(asked).toHaveLength(2)
})

test('an answer that could not be kept is still an answer', async () => {
  const { deps, question, failures } = await asking(
    { 'a|latest': { alias: 'r' }, 'a|r': found(1) },
    {
      put: async () => Promise.reject(new Error('no storage')),
      putAlias: async () => Promise.reject(new Error('none')),
    },
  )

  const entry = (await lookup(deps, question, ['a'])).get('a')

  expect(entry?.answer).toEqual({ n: 1 })
  expect(failures).toHaveLength(2)
})

test('a raw answer that was too large to be kept is asked for again, once for all who want it', async () => {
  const { deps, question, asked } = await asking(
    { 'a|latest': found(1) },
    { raw: async () => undefined },
  )
  await lookup(deps, question, ['a'])

  const entries = await Promise.all([1, 2, 3].map(() => lookup(deps, question, ['a'])))
  const raws = await Promise.all(entries.map((entry) => entry.get('a')?.withRaw()))

  expect(raws.map((raw) => raw?.raw)).toEqual([{ n: 1 }, { n: 1 }, { n: 1 }])
  expect(asked).toEqual(['a|latest', 'a|latest'])
})

test('who waits too long is told so, and the work is not begun twice', async () => {
  const { deps, question, clock, asked } = await asking({})
  const slow: Query = {
    ...question,
    fetch: async (ids, part) => {
      asked.push(`${ids}|${part}`)
      return new Promise(() => {})
    },
  }

  const waiting = lookup(deps, slow, ['a'])
  const also = lookup(deps, slow, ['a'])
  const told = Promise.allSettled([waiting, also])
  while (asked.length === 0) await undefined
  clock.advance(91_000)

  expect(await told).toMatchObject([
    { status: 'rejected', reason: { facts: { reason: 'timeout', upstream: 'tenable' } } },
    { status: 'rejected' },
  ])
  expect(asked).toHaveLength(1)
})
