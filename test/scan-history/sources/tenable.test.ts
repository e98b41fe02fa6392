import { expect, test } from 'vitest'
import { ShapeError } from '../../../shared/platform/errors.ts'
import { LATEST } from '../../../shared/scan-history/source.ts'
import { createTenableSource } from '../../../shared/scan-history/sources/tenable.ts'
import type { Tenable } from '../../../shared/upstreams/tenable.ts'

interface Answers {
  /** The newest run in the list; null: there is no list, undefined: the list is empty. */
  run?: Record<string, unknown> | null | undefined
  status?: string
  details?: Record<string, unknown>
}

/** A source over a Tenable with these answers, and the calls it got. */
function sourceOf({ run, status, details }: Answers) {
  const calls: string[] = []
  const tenable: Pick<Tenable, 'details' | 'history' | 'latestStatus'> = {
    async details(_scan, id) {
      calls.push(`details ${id ?? LATEST}`)
      return details
    },
    async history() {
      calls.push('history')
      return run === null ? undefined : { rows: run ? [run] : [], total: null }
    },
    async latestStatus() {
      calls.push('status')
      return status
    },
  }
  const source = createTenableSource(tenable, (call) => call())
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
    details: { info: { ...details.info, status: 'dreaming' } },
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
