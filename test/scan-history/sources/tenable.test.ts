import { describe, expect, test } from 'vitest'
import { createAdjustableClock } from '../../../local/clock.ts'
import { ShapeError, UpstreamError } from '../../../shared/platform/errors.ts'
import { LATEST } from '../../../shared/scan-history/source.ts'
import { createTenableSource } from '../../../shared/scan-history/sources/tenable.ts'
import type { Tenable } from '../../../shared/upstreams/tenable.ts'

interface Answers {
  /** The newest run in the list; null: there is no list, undefined: the list is empty. */
  run?: Record<string, unknown> | null | undefined
  status?: string
  details?: Record<string, unknown>
  /** More runs, older ones. */
  older?: Record<string, unknown>[]
  /** The list of scans is not there. */
  isGone?: boolean
}

const noRoute = new UpstreamError({
  upstream: 'tenable',
  call: 'GET /scans',
  status: 404,
  reason: 'refused',
  retryable: false,
})

/** A source over a Tenable with these answers, and the calls it got. */
function sourceOf({ run, status, details, older = [], isGone }: Answers) {
  const calls: string[] = []
  const tenable: Pick<Tenable, 'details' | 'history' | 'latestStatus' | 'probe'> = {
    async details(_scan, id) {
      calls.push(`details ${id ?? LATEST}`)
      return details
    },
    async history() {
      calls.push('history')
      return run === null ? undefined : { rows: run ? [run, ...older] : [], total: null }
    },
    async latestStatus() {
      calls.push('status')
      return status
    },
    async probe() {
      calls.push('list')
      if (isGone) throw noRoute
      return { scans: [] }
    },
  }
  const source = createTenableSource(tenable, (call) => call(), createAdjustableClock())
  return { calls, latest: async () => (await source.scan.fetch(['7'], LATEST)).get('7'), source }
}

const done = { id: 1, scan_uuid: 'u-1', status: 'completed' }
const details = { info: { uuid: 'u-1', status: 'completed', hostcount: 0 }, hosts: [] }

test('for a run that is over the answer is an alias, and nothing is fetched', async () => {
  const { latest, calls } = sourceOf({ run: done, status: 'completed' })

  expect(await latest()).toEqual({ alias: 'u-1' })
  expect(calls).toEqual(['history', 'status'])
})

test('a newer run that is not listed yet is not shown as the older one', async () => {
  const { latest, calls } = sourceOf({ run: done, status: 'running' })

  expect(await latest()).toMatchObject({
    final: false,
    answer: { state: 'running', run: null, targets: null },
  })
  expect(calls).toEqual(['history', 'status'])
})

test.each([
  ['an empty list of runs', undefined],
  ['no list of runs', null],
])('a scan with %s has details too, and they are not final', async (_case, run) => {
  const { latest, calls } = sourceOf({ run, status: 'imported', details })

  expect(await latest()).toMatchObject({
    final: false,
    answer: { run: { id: 'u-1' }, state: 'completed' },
  })
  expect(calls).toEqual(['history', 'status', 'details latest'])
})

test('an unknown scan is not found, and one that never ran is', async () => {
  const unknown = sourceOf({ run: null })
  const never = sourceOf({ status: 'empty' })

  expect(await unknown.latest()).toBeUndefined()
  expect(await never.latest()).toMatchObject({
    answer: { state: 'never-run', completeness: { kind: 'none' } },
  })
  expect(never.calls).toEqual(['history', 'status'])
})

test('a run in an unknown state is fetched, and is not over', async () => {
  const run = { ...done, status: 'dreaming' }
  const { latest, source } = sourceOf({
    run,
    status: 'dreaming',
    details: { ...details, info: { ...details.info, status: 'dreaming' } },
  })

  const found = (await source.scan.fetch(['7'], 'u-1')).get('7')

  expect(await latest()).toEqual({ alias: 'u-1' })
  expect(found).toMatchObject({
    final: false,
    answer: { state: 'unknown', completeness: { kind: 'partial' } },
  })
})

test('a run id that cannot be part of a key is no alias', async () => {
  const { latest, calls } = sourceOf({
    run: { ...done, scan_uuid: '../x' },
    status: 'completed',
    details,
  })

  expect(await latest()).toMatchObject({ answer: { state: 'completed' } })
  expect(calls).toEqual(['history', 'status', 'details latest'])
})

test('details without `info` are a ShapeError and no empty run', async () => {
  const { source } = sourceOf({ details: { hosts: [] } })

  await expect(source.scan.fetch(['7'], 'u-1')).rejects.toThrow(ShapeError)
})

test('without a total, a full page has a next page and a short page has none', async () => {
  const { source } = sourceOf({ run: done })

  const full = (await source.runs.fetch(['7'], '1-4')).get('7')
  const short = (await source.runs.fetch(['7'], '2-4')).get('7')

  expect(full).toMatchObject({ answer: { next: 5 } })
  expect(short).toMatchObject({ answer: { next: null } })
})

describe('a scan that Tenable calls empty', () => {
  test('was never run only when it has no run, in every answer', async () => {
    const { latest, source } = sourceOf({ status: 'empty' })

    expect(await latest()).toMatchObject({ answer: { state: 'never-run' } })
    expect(await source.status('7')).toEqual({ state: 'never-run', upstreamState: 'empty' })
  })

  test('is about to run again when it has a run, which is named, in every answer', async () => {
    const { latest, source } = sourceOf({ run: done, status: 'empty' })

    expect(await latest()).toMatchObject({
      final: false,
      answer: {
        state: 'pending',
        upstreamState: 'empty',
        run: null,
        completeness: { kind: 'running', whereElse: expect.stringContaining('?run=u-1') },
      },
    })
    expect(await source.status('7')).toEqual({ state: 'pending', upstreamState: 'empty' })
  })

  test('is pending when its newest run is empty and an older one is over', async () => {
    const empty = { id: 2, scan_uuid: 'u-2', status: 'empty' }
    const { latest } = sourceOf({ run: empty, older: [done], status: 'empty' })

    expect(await latest()).toMatchObject({
      answer: {
        state: 'pending',
        run: { id: 'u-2' },
        completeness: { whereElse: expect.stringContaining('?run=u-1') },
      },
    })
  })
})

describe('a scan whose latest status is not there', () => {
  test('is its newest run when the list has one', async () => {
    const { latest, source } = sourceOf({ run: done })

    expect(await latest()).toEqual({ alias: 'u-1' })
    expect(await source.status('7')).toEqual({ state: 'completed', upstreamState: 'completed' })
  })

  test('has details when the list of runs is there and empty', async () => {
    const { latest } = sourceOf({ details })

    expect(await latest()).toMatchObject({ answer: { state: 'completed' } })
  })
})

test('a run that is listed and has no details is shown as the list has it, and is not final', async () => {
  const { source } = sourceOf({ run: done })
  const fetch = async (run: string) => (await source.scan.fetch(['7'], run)).get('7')

  const [byId, byNumber, other] = [await fetch('u-1'), await fetch('1'), await fetch('u-9')]

  expect(byId).toMatchObject({
    final: false,
    answer: { state: 'completed', counts: { critical: null }, completeness: { kind: 'partial' } },
  })
  expect(byNumber).toEqual(byId)
  expect(other).toBeUndefined()
})

describe('an answer of 404', () => {
  test('on the list of runs of a scan that exists is an error, and no empty list', async () => {
    const { source } = sourceOf({ run: null, status: 'completed' })

    await expect(source.runs.fetch(['7'], '10-0')).rejects.toMatchObject({ facts: { status: 404 } })
  })

  test('on every route is an error that names the list, and no missing scan', async () => {
    const { source, latest } = sourceOf({ run: null, isGone: true })
    const asks = [
      latest,
      () => source.status('7'),
      () => source.runs.fetch(['7'], '10-0'),
      () => source.scan.fetch(['7'], 'u-1'),
    ]

    for (const ask of asks) await expect(ask()).rejects.toBe(noRoute)
  })
})

const gaps = {
  'no list of hosts': { info: { ...details.info, hostcount: 3 } },
  'fewer hosts than counted': { info: { ...details.info, hostcount: 3 }, hosts: [{}] },
  'neither hosts nor their number': { info: { uuid: 'u-1', status: 'completed' }, hosts: [] },
  'results that are being reindexed': { ...details, info: { ...details.info, reindexing: true } },
  'archived results that are being reindexed': {
    info: { uuid: 'u-1', status: 'completed', is_archived: true, reindexing: true },
  },
}

test.each(Object.entries(gaps))(
  'a run that is over, with %s, is not final',
  async (_gap, answer) => {
    const { source } = sourceOf({ details: answer })

    const found = (await source.scan.fetch(['7'], 'u-1')).get('7')

    expect(found).toMatchObject({ final: false, answer: { state: 'completed' } })
  },
)

test.each([
  ['that is complete', details],
  ['that is archived', { info: { uuid: 'u-1', status: 'completed', is_archived: true } }],
])('a run %s is final', async (_case, answer) => {
  const { source } = sourceOf({ details: answer })

  expect((await source.scan.fetch(['7'], 'u-1')).get('7')).toMatchObject({ final: true })
})
