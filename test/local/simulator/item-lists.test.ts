import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { startItemCaller } from './item-caller.ts'

const machineId = 'f46b9bb259ed4a7fb9981b73510e3cc7aa81ec1f'

async function startFour() {
  const caller = await startItemCaller()
  const { actions } = caller.simulator
  const at = (creationDateTimeUtc: string) => ({
    creationDateTimeUtc,
    lastUpdateDateTimeUtc: creationDateTimeUtc,
  })
  actions.put({ id: 'a', status: 'Pending', type: 'Isolate', ...at('2026-11-20T06:00:00Z') })
  actions.put({
    id: 'b',
    status: 'InProgress',
    requestor: "o'brien@contoso.example",
    ...at('2026-11-20T06:00:00.1Z'),
  })
  actions.put({ id: 'c', status: 'Succeeded', machineId, ...at('2026-11-20T06:00:00.1234567Z') })
  actions.put({
    id: '44cffc15-0e3d-4cbf-96aa-bf76f9b27f5e',
    status: 'TimeOut',
    ...at('2026-11-20T06:30:00.5Z'),
  })
  return caller
}
const d = '44cffc15-0e3d-4cbf-96aa-bf76f9b27f5e'

describe('a filter returns the matching items', () => {
  test.each<[filter: string, ids: string[]]>([
    ["status eq 'Pending'", ['a']],
    ["status ne 'Pending'", [d, 'b', 'c']],
    ["status eq 'Pending' or status eq 'InProgress'", ['a', 'b']],
    ["status in ('Pending', 'TimeOut')", [d, 'a']],
    ["status in ('Succeeded')", ['c']],
    ['creationDateTimeUtc ge 2026-11-20T06:00:00.1Z', [d, 'b', 'c']],
    ['creationDateTimeUtc gt 2026-11-20T06:00:00.1Z', [d, 'c']],
    ['creationDateTimeUtc ge 2026-11-20T06:00:00.100Z', [d, 'b', 'c']],
    ['creationDateTimeUtc le 2026-11-20T06:00:00.1234567Z', ['a', 'b', 'c']],
    ['creationDateTimeUtc lt 2026-11-20T06:00:00.1234567Z', ['a', 'b']],
    ['creationDateTimeUtc eq 2026-11-20T07:30:00.5+01:00', [d]],
    [`machineId eq '${machineId}'`, ['c']],
    [`machineId eq '${machineId.toUpperCase()}'`, []],
    ["requestor eq 'o''brien@contoso.example'", ['b']],
    ["type eq 'Isolate' and status eq 'Pending'", ['a']],
    ["status eq 'InProgress' or status eq 'TimeOut' and type eq 'Isolate'", ['b']],
    ["(status eq 'Pending' or status eq 'TimeOut') and type eq 'RunAntiVirusScan'", [d]],
    ["((id eq 'a') or (id eq 'c'))", ['a', 'c']],
    [`id eq ${d}`, [d]],
    [`id eq '${d}'`, [d]],
    ["id gt 'a' and id lt 'c'", ['b']],
    ['requestor eq null', []],
    ['requestor ne null', [d, 'a', 'b', 'c']],
  ])('%s', async (filter, ids) => {
    const caller = await startFour()

    expect(await caller.ids('machineactions', filter)).toEqual(ids)
  })

  test('an investigation without a start time is found by its state, not by its time', async () => {
    const { simulator, ids } = await startItemCaller()
    simulator.investigations.put({ id: '1', state: 'Queued' })
    simulator.investigations.put({ id: '2', state: 'Running', startTime: '2026-11-20T06:00:00Z' })

    expect(await ids('investigations', 'startTime ge 2000-01-01T00:00:00Z')).toEqual(['2'])
    expect(await ids('investigations', 'startTime eq null')).toEqual(['1'])
    expect(await ids('investigations', "state eq 'Queued' or state eq 'Running'")).toEqual([
      '1',
      '2',
    ])
    expect(await ids('investigations', "triggeringAlertId eq 'da2_1'")).toEqual(['2'])
  })
})

describe('a query that the service does not accept is answered 400 with code ODataError', () => {
  test.each<[query: string, message: RegExp]>([
    ['$filter=status', /Syntax error at the end/],
    ["$filter=status eq 'Pending' and", /Syntax error at the end/],
    ["$filter=status eq 'Pending' status", /Syntax error at position 20/],
    ["$filter=(status eq 'Pending'", /Syntax error/],
    ["$filter=status eq 'Pending", /Syntax error/],
    ["$filter=not status eq 'Pending'", /not/],
    ["$filter=contains(id,'a')", /Could not find a property named 'contains'/],
    ["$filter=colour eq 'red'", /Could not find a property named 'colour' on type/],
    ["$filter=status constructor 'red'", /Syntax error at position 7/],
    ["$filter=constructor eq 'red'", /Could not find a property named 'constructor'/],
    [
      '$filter=lastUpdateDateTimeUtc ge 2026-11-20T06:00:00Z',
      /'lastUpdateDateTimeUtc' cannot be used in the \$filter/,
    ],
    ["$filter=creationDateTimeUtc ge '2026-11-20T06:00:00Z'", /incompatible types/],
    ['$filter=creationDateTimeUtc ge 2026-11-20', /Syntax error|incompatible types/],
    ['$filter=creationDateTimeUtc ge 2026-13-20T06:00:00Z', /incompatible types/],
    ['$filter=status eq Pending', /incompatible types/],
    ["$filter=status gt 'Pending'", /incompatible types/],
    ["$filter=status eq 'Timeout'", /not a valid enumeration type constant/],
    ['$filter=', /Syntax error/],
    ['$stop=5', /'\$stop' is not supported/],
    ['$select=id', /'\$select' is not supported/],
    ['$top=10001', /limit of '10000' for Top query has been exceeded/],
    ['$top=1e%2B4', /Invalid value '1e\+4' for \$top/],
    ['$skip=-1', /Invalid value/],
    ['$skip=1e%2B5', /Invalid value/],
    ['$top=1&$top=2', /more than once/],
    ['$orderby=colour', /Could not find a property/],
  ])('%s', async (query, message) => {
    const { ask } = await startFour()

    const refused = await ask(`machineactions?${query}`)

    expect(refused.status).toBe(400)
    expect(await refused.json()).toMatchObject({
      error: { code: 'ODataError', message: expect.stringMatching(message) },
    })
  })
})

test('a filter on an undocumented field is evaluated when that is switched on', async () => {
  const { simulator, ids } = await startFour()
  simulator.setFaults({ undocumentedFilters: 'evaluated' })

  expect(
    await ids('machineactions', 'lastUpdateDateTimeUtc ge 2026-11-20T06:00:00.1234567Z'),
  ).toEqual([d, 'c'])
  expect(await ids('machineactions', 'errorHResult eq -2145844840')).toEqual([d])
})

test('$orderby and $count are used or ignored', async () => {
  const { simulator, page } = await startFour()
  const query = { $orderby: 'creationDateTimeUtc asc', $count: 'true', $top: '2' }
  const honoured = await page('machineactions', query)
  simulator.setFaults({ orderAndCount: 'ignored' })

  const ignored = await page('machineactions', query)

  expect([honoured['@odata.count'], honoured.value.map(({ id }) => id)]).toEqual([4, ['a', 'b']])
  expect([ignored['@odata.count'], ignored.value.map(({ id }) => id)]).toEqual([
    undefined,
    [d, 'c'],
  ])
})

describe('a list in pages', () => {
  const putMany = async (count: number) => {
    const caller = await startItemCaller()
    for (let n = 0; n < count; n++) {
      caller.simulator.actions.put({ id: `n${n}`, status: n % 2 ? 'Pending' : 'Failed' })
      caller.clock.advance(1)
    }
    return caller
  }
  const numbers = (rows: { id: string }[]) => rows.map(({ id }) => Number(id.slice(1)))

  test('is short without $top, has the newest first, and its links lead through every row with the same filter', async () => {
    const { simulator, ask, page, token } = await putMany(230)
    const rows: { id: string }[] = []

    let next: string | undefined =
      `${simulator.origin}/defender/api/machineactions?$filter=status%20eq%20'Pending'`
    while (next) {
      const response = await fetch(next, { headers: { authorization: `Bearer ${await token()}` } })
      const body = (await response.json()) as Awaited<ReturnType<typeof page>>
      rows.push(...body.value)
      next = body['@odata.nextLink']
    }

    expect((await page('machineactions')).value).toHaveLength(50)
    expect(numbers(rows)).toEqual(Array.from({ length: 115 }, (_, n) => 229 - 2 * n))
    expect((await ask('v1.0/MachineActions')).status).toBe(200)
  })

  test('continues with $skip when there are no links', async () => {
    const { simulator, page } = await putMany(25)
    simulator.setFaults({ itemPaging: 'skip-only' })

    const pages = await Promise.all(
      ['0', '10', '20', '30'].map(($skip) => page('machineactions', { $top: '10', $skip })),
    )

    expect(pages.map(({ value }) => value.length)).toEqual([10, 10, 5, 0])
    expect(pages.flatMap(Object.keys)).not.toContain('@odata.nextLink')
    expect(numbers(pages.flatMap(({ value }) => value))).toEqual(
      Array.from({ length: 25 }, (_, n) => 24 - n),
    )
  })

  test('has 10,000 rows in one page, and the service may split it into smaller pages', async () => {
    const { simulator, page } = await startItemCaller()
    for (let n = 0; n < 10_001; n++) simulator.actions.put({ id: `n${n}` })
    const whole = await page('machineactions', { $top: '10000' })
    simulator.setFaults({ mostPageRows: 7 })

    const cut = await page('machineactions', { $top: '10000' })

    expect([whole.value.length, cut.value.length]).toEqual([10_000, 7])
    expect(new URL(whole['@odata.nextLink'] ?? '').searchParams.get('$skip')).toBe('10000')
    expect(new URL(cut['@odata.nextLink'] ?? '').searchParams.get('$skip')).toBe('7')
  })

  test('shifts when rows appear, or no longer match the filter, between two pages', async () => {
    const { simulator, page } = await putMany(9)
    const seen: number[] = []
    simulator.actions.onPage(({ number }) => {
      seen.push(number)
      if (number === 1) simulator.actions.put({ id: 'n9' })
      if (number === 2) simulator.actions.remove('n4')
    })

    const pages = []
    for (const $skip of ['0', '3', '6', '9'])
      pages.push(await page('machineactions', { $top: '3', $skip }))

    expect(pages.map(({ value }) => numbers(value))).toEqual([
      [8, 7, 6],
      // A row was added at the front: one row appears twice.
      [6, 5, 4],
      // A row was removed: one row never appears.
      [2, 1, 0],
      [],
    ])
    expect(seen).toEqual([1, 2, 3, 4])
  })

  test('is not sent before the hook has ended', async () => {
    const { simulator, page } = await putMany(1)
    const gate = Promise.withResolvers<void>()
    simulator.actions.onPage(() => gate.promise)

    const asked = page('machineactions')
    const first = await Promise.race([asked.then(() => 'page'), sleep(50, 'nothing yet')])
    gate.resolve()

    expect(first).toBe('nothing yet')
    expect((await asked).value).toHaveLength(1)
  })
})
