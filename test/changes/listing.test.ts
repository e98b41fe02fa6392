import { expect, test } from 'vitest'
import { readLists } from '../../shared/changes/listing.ts'
import type { ItemSource, Wanted } from '../../shared/changes/resource.ts'
import { investigations } from '../../shared/changes/resources/investigations.ts'
import { machineActions } from '../../shared/changes/resources/machine-actions.ts'
import { action, investigation, type Row } from './item-store.ts'

const SINCE = '2026-03-01T00:00:00.000Z'
const date = new Date('2026-03-01T12:00:00Z')
const at = (minute: number) => `2026-03-01T11:${String(minute).padStart(2, '0')}:00Z`

/** A source of prepared pages, each with its date. */
function pages(created: Row[][], open: Row[][], dates: (Date | undefined)[] = [date]) {
  const asked: Wanted[] = []
  let served = 0
  const source: ItemSource = {
    async *list(wanted) {
      asked.push(wanted)
      for (const rows of 'openNow' in wanted ? open : created) {
        yield { rows, date: dates[Math.min(served++, dates.length - 1)] }
      }
    },
    get: async () => undefined,
  }
  return { source, asked }
}

test('both lists are read to their ends, the created items first', async () => {
  const { source, asked } = pages(
    [[action('a', 'Failed', at(3))], [action('b', 'Failed', at(2))], []],
    [[action('c', 'Pending', at(1))], [action('d', 'InProgress', at(0))]],
  )

  const { seen, rejected } = await readLists(machineActions, source, SINCE)

  expect(asked).toEqual([{ createdSince: SINCE }, { openNow: true }])
  expect([...seen.keys()]).toEqual(['a', 'b', 'c', 'd'])
  expect(rejected).toEqual({ unreadable: 0, outside: 0, badTimes: 0 })
})

test('of a row that came twice the later update counts, from either list', async () => {
  const newer = action('a', 'Succeeded', at(1), at(9))
  const older = action('a', 'Pending', at(1), at(2))

  const first = await readLists(machineActions, pages([[newer]], [[older]]).source, SINCE)
  const second = await readLists(
    machineActions,
    pages([[older, action('b', 'Failed', at(1))], [newer]], []).source,
    SINCE,
  )

  expect([first.seen.get('a')?.state, second.seen.get('a')?.state]).toEqual([
    'Succeeded',
    'Succeeded',
  ])
})

test('of a row that came twice without update times the later one counts', async () => {
  const start = new Date(at(1))
  const { source } = pages(
    [[investigation('7', 'Running', start)]],
    [[investigation('7', 'PendingApproval', start)]],
  )

  const { seen } = await readLists(investigations, source, SINCE)

  expect(seen.get('7')?.state).toBe('PendingApproval')
})

test('the newest creation time of all rows is found, with seven digits', async () => {
  const { source } = pages(
    [
      [action('a', 'Failed', '2026-03-01T11:00:00.1Z')],
      [action('b', 'Failed', '2026-03-01T11:00:00.1000001Z')],
    ],
    [[action('c', 'Pending', '2026-03-01T11:00:00Z')]],
  )

  expect((await readLists(machineActions, source, SINCE)).newest).toBe(
    '2026-03-01T11:00:00.1000001Z',
  )
})

test.each([
  [
    'beyond the date of the first answer',
    [date, new Date('2026-03-01T13:00:00Z')],
    '2026-03-01T12:30:00Z',
    null,
  ],
  ['at the date of the first answer', [date], '2026-03-01T12:00:00Z', '2026-03-01T12:00:00Z'],
  ['when no answer has a date', [undefined], at(0), null],
  ['that is not a time', [date], 'soon', null],
])('a creation time %s', async (_what, dates, created, newest) => {
  const { source } = pages(
    [[action('a', 'Failed', created)], [action('a', 'Failed', created)]],
    [],
    dates,
  )

  expect((await readLists(machineActions, source, SINCE)).newest).toBe(newest)
})

test.each([
  ['no id', { status: 'Pending' }],
  ['no state', { id: 'a' }],
  ['an id that cannot be part of a row key', { id: 'a/b', status: 'Pending' }],
  ['an empty state', { id: 'a', status: '' }],
  ['no fields', null],
])('a row with %s is counted as unreadable', async (_what, row) => {
  const { source } = pages([[row as unknown as Row, action('b', 'Failed', at(1))]], [])

  const { seen, rejected } = await readLists(machineActions, source, SINCE)

  expect([...seen.keys()]).toEqual(['b'])
  expect(rejected).toEqual({ unreadable: 1, outside: 0, badTimes: 0 })
})
