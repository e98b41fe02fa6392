import fc from 'fast-check'
import { expect, test } from 'vitest'
import { poll } from '../../../shared/changes/poll.ts'
import { machineActions } from '../../../shared/changes/resources/machine-actions.ts'
import { changesRoutes } from '../../../shared/changes/routes/index.ts'
import type { ChangesDeps } from '../../../shared/changes/routes/items.ts'
import type { Route } from '../../../shared/platform/route.ts'
import { askRoutes } from '../../ask-routes.ts'
import { createMemoryTable } from '../../memory-table.ts'
import { FORMULA, readCsv } from '../../read-csv.ts'
import { action, createContext, createItemStore } from '../item-store.ts'
import { createModelClock } from '../model.ts'

const MINUTE_MS = 60_000
const hostile = '=cmd|"a",\r\n\u202e;b'

const item = fc.record({
  minutesAgo: fc.integer({ min: 1, max: 300 }),
  status: fc.constantFrom('Pending', 'InProgress', 'Succeeded', 'Failed'),
  type: fc.constantFrom('Isolate', 'RunAntiVirusScan'),
  machineId: fc.constantFrom('m1', 'm2'),
  computerDnsName: fc.constantFrom('PC-1', 'pc-2', 'srv', hostile, null),
  requestor: fc.constantFrom('Ann@example.com', 'bob@example.com', null),
})
type Item = typeof item extends fc.Arbitrary<infer T> ? T : never

const isOpen = ({ status }: Item) => status === 'Pending' || status === 'InProgress'
const same = (value: string | null, wanted: string) => value?.toLowerCase() === wanted.toLowerCase()

/** Each filter with what it means. */
const filters: [query: (nowMs: number) => string, passes: (one: Item) => boolean][] = [
  [() => 'state=pending,InProgress', isOpen],
  [() => 'state=Failed', ({ status }) => status === 'Failed'],
  [() => 'type=isolate', ({ type }) => type === 'Isolate'],
  [() => 'requestor=ANN@example.com', ({ requestor }) => same(requestor, 'ann@example.com')],
  [() => 'name=pc-1', ({ computerDnsName }) => same(computerDnsName, 'pc-1')],
  [() => 'name=P*', ({ computerDnsName }) => /^p/i.test(computerDnsName ?? '')],
  [
    () => `name=${encodeURIComponent(hostile)}`,
    ({ computerDnsName }) => computerDnsName === hostile,
  ],
  [() => 'openFor=2h', (one) => isOpen(one) && one.minutesAgo >= 120],
  [
    (nowMs) => `createdAfter=${new Date(nowMs - 100 * MINUTE_MS).toISOString()}`,
    ({ minutesAgo }) => minutesAgo <= 100,
  ],
  [() => 'createdAfter=90m', ({ minutesAgo }) => minutesAgo <= 90],
  [() => 'createdBefore=1h', ({ minutesAgo }) => minutesAgo > 60],
  [
    (nowMs) => `createdBefore=${new Date(nowMs - 50 * MINUTE_MS).toISOString()}`,
    ({ minutesAgo }) => minutesAgo > 50,
  ],
]

async function open(items: Item[]) {
  const clock = createModelClock()
  const table = createMemoryTable('Streams', clock)
  await table.create()
  const store = createItemStore(machineActions, clock)
  const nowMs = clock.now().getTime()
  for (const [n, { minutesAgo, status, ...fields }] of items.entries()) {
    const created = new Date(nowMs - minutesAgo * MINUTE_MS)
    store.put({ ...action(`a${n}`, status, created), ...fields })
  }
  const context = createContext({ table, clock, source: store.source })
  await poll(context)
  const deps = { context: () => context } as unknown as ChangesDeps
  return { nowMs, ...askRoutes(changesRoutes as Route<ChangesDeps>[], deps) }
}

test('items come newest first, page by page, and are those that pass every filter', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(item, { minLength: 5, maxLength: 12 }),
      fc.subarray(filters, { minLength: 2, maxLength: 3 }),
      async (items, several) => {
        const { nowMs, askAll } = await open(items)
        const list = async (wanted: typeof filters) => {
          const queries = wanted.map(([query]) => query(nowMs))
          const path = `changes/machine-actions/items?${['limit=3', ...queries].join('&')}`
          return (await askAll(path, 'items')).map(({ id }) => id)
        }
        const idsOf = (wanted: typeof filters) =>
          items
            .map((one, n) => ({ one, id: `a${n}` }))
            .filter(({ one }) => wanted.every(([, passes]) => passes(one)))
            .sort((a, b) => a.one.minutesAgo - b.one.minutesAgo || (a.id < b.id ? 1 : -1))
            .map(({ id }) => id)
        // A filter is given once.
        const nameOf = ([query]: (typeof filters)[number]) => query(nowMs).split('=')[0]
        const together = several.filter(
          (one, n) => several.findIndex((other) => nameOf(other) === nameOf(one)) === n,
        )

        for (const wanted of [[], together, ...filters.map((one) => [one])])
          expect(await list(wanted), wanted.map(([query]) => query(nowMs)).join('&')).toEqual(
            idsOf(wanted),
          )
      },
    ),
    { numRuns: 10 },
  )
})

test('hostile names are whole as JSON and harmless as CSV', async () => {
  const one = {
    minutesAgo: 1,
    status: 'Pending',
    type: 'Isolate',
    machineId: 'm1',
    requestor: null,
  }
  const { ask } = await open([{ ...one, computerDnsName: hostile } as Item])

  const { body } = await ask('changes/machine-actions/items')
  const { csv = '' } = await ask('changes/machine-actions/items?format=csv')

  const [head = [], row = []] = readCsv(csv)
  expect(body.items[0].computerDnsName).toBe(hostile)
  expect(row[head.indexOf('computerDnsName')]).toBe(`'${hostile}`)
  for (const cell of row) expect(cell).not.toMatch(FORMULA)
})

test.each([
  ['state=gone', 'must be of Pending, InProgress, Succeeded'],
  ['triggeringAlertId=a', 'is only a filter of investigations'],
  ['name=a*b', 'takes * only at its end'],
  ['openFor=7', 'must be a duration such as 7d, 12h or 30m'],
  ['createdAfter=yesterday', 'must be an RFC 3339 time (write its + as %2B) or a duration'],
  ['createdAfter=1d&createdBefore=2d', 'query.createdAfter must be before 2026-'],
  ['createdAfter=1d&createdBefore=24h', 'query.createdAfter must be before 2026-'],
  ['createdAfter=2999-01-01T00:00:00Z', 'query.createdAfter must be before 2026-'],
  ['sort=newest', 'is unknown'],
  ['limit=1001', 'query.limit must be a whole number from 1 to 1,000; as CSV to 10,000'],
  ['limit=10001&format=csv', 'query.limit must be a whole number from 1 to 1,000; as CSV to'],
])('with %s is 400 and says why', async (query, why) => {
  const { ask } = await open([])

  const { body } = await ask(`changes/machine-actions/items?${query}`)

  expect(body).toMatchObject({ status: 400, problem: 'invalid-request' })
  expect(body.detail).toContain(why)
})
