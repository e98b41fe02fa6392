import { expect, test } from 'vitest'
import { ShapeError } from '../../../shared/platform/errors.ts'
import { LATEST } from '../../../shared/scan-history/source.ts'
import { createTenableSource } from '../../../shared/scan-history/sources/tenable.ts'
import type { Tenable } from '../../../shared/upstreams/tenable.ts'

interface Says {
  /** The newest listed run; null: there is no list, undefined: it is empty. */
  run?: Record<string, unknown> | null | undefined
  status?: string
  details?: Record<string, unknown>
}

/** A source over a Tenable that says just this, and what it was asked. */
function sourceOf({ run, status, details }: Says) {
  const asked: string[] = []
  const tenable: Pick<Tenable, 'details' | 'history' | 'latestStatus'> = {
    async details(_scan, id) {
      asked.push(`details ${id ?? LATEST}`)
      return details
    },
    async history() {
      asked.push('history')
      return run === null ? undefined : { rows: run ? [run] : [], total: null }
    },
    async latestStatus() {
      asked.push('status')
      return status
    },
  }
  const source = createTenableSource(tenable, (call) => call())
  return { asked, latest: async () => (await source.scan.fetch(['7'], LATEST)).get('7'), source }
}

const done = { id: 1, scan_uuid: 'u-1', status: 'completed' }
const details = { info: { uuid: 'u-1', status: 'completed', hostcount: 0 }, hosts: [] }

test('a run that is over is pointed at, not fetched', async () => {
  const { latest, asked } = sourceOf({ run: done, status: 'completed' })

  expect(await latest()).toEqual({ see: 'u-1' })
  expect(asked).toEqual(['history', 'status'])
})

test('a newer run that is not listed yet is not passed off as the older one', async () => {
  const { latest, asked } = sourceOf({ run: done, status: 'running' })

  expect(await latest()).toMatchObject({
    final: false,
    answer: { state: 'running', run: null, targets: null },
  })
  expect(asked).toEqual(['history', 'status'])
})

test.each([
  ['an empty list of runs', undefined],
  ['no list of runs', null],
])('a scan with %s has details all the same, which may change', async (_case, run) => {
  const { latest, asked } = sourceOf({ run, status: 'imported', details })

  expect(await latest()).toMatchObject({
    final: false,
    answer: { run: { id: 'u-1' }, state: 'completed' },
  })
  expect(asked).toEqual(['history', 'status', 'details latest'])
})

test('a scan that nobody knows is not there, and one that never ran is', async () => {
  const unknown = sourceOf({ run: null })
  const never = sourceOf({ status: 'empty' })

  expect(await unknown.latest()).toBeUndefined()
  expect(await never.latest()).toMatchObject({
    answer: { state: 'never-run', completeness: { kind: 'none' } },
  })
  expect(never.asked).toEqual(['history', 'status'])
})

test('a run in a state that is not known is looked at, and not taken for an end', async () => {
  const run = { ...done, status: 'dreaming' }
  const { latest, source } = sourceOf({
    run,
    status: 'dreaming',
    details: { info: { ...details.info, status: 'dreaming' } },
  })

  const found = (await source.scan.fetch(['7'], 'u-1')).get('7')

  expect(await latest()).toEqual({ see: 'u-1' })
  expect(found).toMatchObject({
    final: false,
    answer: { state: 'unknown', completeness: { kind: 'partial' } },
  })
})

test('a run id that could not be part of a key is not pointed at', async () => {
  const { latest, asked } = sourceOf({
    run: { ...done, scan_uuid: '../x' },
    status: 'completed',
    details,
  })

  expect(await latest()).toMatchObject({ answer: { state: 'completed' } })
  expect(asked).toEqual(['history', 'status', 'details latest'])
})

test('details without their head are a ShapeError and no empty run', async () => {
  const { source } = sourceOf({ details: { hosts: [] } })

  await expect(source.scan.fetch(['7'], 'u-1')).rejects.toThrow(ShapeError)
})

test('without a total a full page has a next one, and a short page none', async () => {
  const { source } = sourceOf({ run: done })

  const full = (await source.runs.fetch(['7'], '1-4')).get('7')
  const short = (await source.runs.fetch(['7'], '2-4')).get('7')

  expect(full).toMatchObject({ answer: { next: 5 } })
  expect(short).toMatchObject({ answer: { next: null } })
})
