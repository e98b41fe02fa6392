import { readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { conditionNames, findConditions } from '../../shared/av-health/conditions.ts'
import { cutoffsAt, readState } from '../../shared/av-health/transitions.ts'
import { toCursor } from '../../shared/platform/paging.ts'
import type { Columns } from '../../shared/platform/table.ts'
import { typeRelay } from '../local/relay-typed.ts'
import { noTimers, startTestStack, type TestStack } from '../stack.ts'

const DAY_MS = 24 * 3_600_000

interface Entry {
  machineId: string
  computerDnsName: string | null
  avHealth: Record<string, string | null> | null
  standing: { isolation: { state: string; actionId: string | null } } | null
}

let stack: TestStack
const runs: string[] = []

async function exportNow(): Promise<void> {
  const { body } = await stack.post('av-health/exports', { force: true })
  const run = await stack.runToEnd(body.runId)
  expect(run.state).toBe('published')
  runs.push(run.runId)
}

beforeAll(async () => {
  stack = await startTestStack({
    fleet: { size: 120, files: 3, badLines: 0 },
    // By pages a snapshot is of the time of its run.
    env: { ...noTimers, AV_HEALTH_METHOD: 'json' },
    retention: { newest: 2 },
  })
  await stack.post('changes/machine-actions/check')
  await exportNow()
  stack.clock.advance(20 * DAY_MS)
  await exportNow()
})
afterAll(() => stack.stop())

/** Every entry of a list, page by page. */
async function follow(path: string, name = 'devices'): Promise<Entry[]> {
  const entries: Entry[] = []
  for (let next: string | null = `/api/${path}`; next; ) {
    const answer = await stack.request('GET', `${stack.host.url}${next}`)
    expect(answer.status).toBe(200)
    entries.push(...answer.body[name])
    next = /^<(.+)>; rel="next"$/.exec(answer.headers.get('link') ?? '')?.[1] ?? null
  }
  return entries
}

/** The rows of the current snapshot, and the conditions of each by its thresholds. */
async function snapshot() {
  const { table, runs } = await stack.engine()
  const current = await runs.current()
  const { comparison } = (await runs.run(current?.runId ?? '')) ?? {}
  const { at = '', thresholds = {} } = comparison ?? {}
  const cutoffs = cutoffsAt(at, thresholds as never)
  const rows = await Array.fromAsync(table(current?.table ?? '').list({}))
  return rows.map(({ rowKey: id, columns }) => ({
    id,
    columns: columns as Columns,
    conditions: findConditions(columns, readState(columns, cutoffs)),
  }))
}

describe('the list of devices', () => {
  test.each(conditionNames)(
    'by the condition %s has the devices of the whole table that meet it, the worst first',
    async (condition) => {
      const rows = await snapshot()
      const wanted = rows.flatMap(({ id, conditions }) => {
        const rank = conditions.find(({ name }) => name === condition)?.rank
        return rank === undefined ? [] : [`${rank}|${id}`]
      })

      const worst = await follow(`devices?condition=${condition}&limit=7`)
      const byId = await follow(`devices?condition=${condition}&sort=id&limit=7`)

      expect(worst.map(({ machineId }) => machineId)).toEqual(
        wanted.sort().map((key) => key.split('|')[1]),
      )
      expect(byId.map(({ machineId }) => machineId)).toEqual(
        wanted.map((key) => key.split('|')[1]).sort(),
      )
    },
  )

  test('without a filter has every device once, by id, and by mode, group, os and time those that pass', async () => {
    const rows = await snapshot()
    const ids = (passes: (columns: Columns) => boolean) =>
      rows
        .filter(({ columns }) => passes(columns))
        .map(({ id }) => id)
        .sort()
    const list = async (query: string) =>
      (await follow(`devices?${query}`)).map(({ machineId }) => machineId)
    const [first] = rows
    const group = String(first?.columns.rbacGroupName)
    const before = new Date(stack.clock.now().getTime() - 21 * DAY_MS)

    expect(await list('limit=50')).toEqual(ids(() => true))
    expect(await list('mode=passive')).toEqual(ids(({ avModeName }) => avModeName === 'passive'))
    expect(await list(`group=${encodeURIComponent(group)}`)).toEqual(
      ids(({ rbacGroupName }) => rbacGroupName === group),
    )
    expect(await list('os=linux')).toEqual(ids(({ osKind }) => osKind === 'linux'))
    expect(await list('seenBefore=21d')).toEqual(
      ids(({ lastSeenTime }) => Date.parse(String(lastSeenTime)) < before.getTime()),
    )
  })

  test('by a counted value has as many devices as the summary counts under it', async () => {
    const { body } = await stack.get('av-health/summary')
    for (const [by, counts] of Object.entries<Record<string, number>>(body.counts)) {
      const values = Object.entries(counts).filter(([value]) => value !== '(other)')
      // Many versions have one device each.
      for (const [value, number] of values.slice(0, 12)) {
        const counted = new URLSearchParams({ counted: `${by}:${value}` })
        // On a slow machine a page ends before all rows are read.
        const found = await follow(`devices?limit=1000&${counted}`)
        expect({ by, value, number: found.length }).toEqual({ by, value, number })
      }
    }
  })

  test('by name finds the exact name in any case, and all names with a beginning in their order', async () => {
    const rows = await snapshot()
    const named = rows.filter(({ columns }) => columns.computerDnsName)
    const name = String(named[0]?.columns.computerDnsName)
    const begin = name.slice(0, 3).toLowerCase()

    const exact = await follow(`devices?name=${encodeURIComponent(name.toUpperCase())}`)
    const byPrefix = await follow(`devices?name=${encodeURIComponent(begin)}*&limit=5`)

    expect(exact.map(({ computerDnsName }) => computerDnsName)).toEqual([name])
    const names = byPrefix.map(({ computerDnsName }) => String(computerDnsName).toLowerCase())
    expect(names).toEqual(names.toSorted())
    expect(names).toHaveLength(
      named.filter(({ columns }) => String(columns.computerDnsName).toLowerCase().startsWith(begin))
        .length,
    )
  })

  test.each([
    ['sort=worst', 'sort'],
    ['sort=name', 'sort'],
    ['condition=passive&name=ab*&sort=worst', 'sort'],
    ['condition=stale', 'condition'],
    ['isolation=gone', 'isolation'],
    ['isolation=isolated&sort=worst', 'sort'],
    ['name=a*', 'name'],
    ['name=a*b', 'name'],
    ['name=**', 'name'],
    ['sort=newest', 'sort'],
    [`after=${toCursor('devices', ['', 'held', 'a'])}`, 'after'],
    [`after=${toCursor('devices', ['a/b', 'id', 'a'])}`, 'after'],
    [`after=${toCursor('devices', ['', 'id', 'a'])}`, 'after'],
    [`after=${toCursor('devices', ['20261121000000abcd', 'id'])}`, 'after'],
    [`isolation=isolated&os=linux&after=${toCursor('devices', ['a/b', 'held', 'a'])}`, 'after'],
    [`isolation=isolated&after=${toCursor('devices', ['', 'name', 'a'])}`, 'after'],
    ['seenBefore=7', 'seenBefore'],
    ['limit=2000', 'limit'],
    ['counted=mode', 'counted'],
    ['counted=mode:', 'counted'],
    ['counted=os:(other)', 'counted'],
    ['counted=age:1', 'counted'],
    ['counted=mode:unknown', 'counted'],
    ['counted=signature:old', 'counted'],
    ['counted=seen:', 'counted'],
  ])('with %s is 400 and names it', async (query, name) => {
    const { status, body } = await stack.get(`devices?${query}`)

    expect(status).toBe(400)
    expect(body.errors.map(({ path }: { path: string }) => path)).toEqual([`query.${name}`])
  })

  test('goes on in the snapshot of its first page, and is 410 once that is dropped', async () => {
    const first = await stack.get('devices?condition=not-seen&limit=3')
    stack.clock.advance(DAY_MS)
    await exportNow()
    const second = await stack.get(`devices?condition=not-seen&limit=3&after=${first.body.next}`)
    stack.clock.advance(DAY_MS)
    await exportNow()
    const gone = await stack.get(`devices?condition=not-seen&limit=3&after=${first.body.next}`)

    expect(first.body.snapshot.runId).toBe(runs[1])
    expect(second.body.snapshot.runId).toBe(runs[1])
    expect(gone).toMatchObject({ status: 410, body: { type: 'urn:defender-relay:cursor-expired' } })
  })
})

describe('what holds now', () => {
  const machine = 'c'.repeat(40)
  const hostile = '=cmd|"a",\r\n\u202e;b'
  beforeAll(async () => {
    const put = (id: string, status: string, more: object) =>
      stack.simulator.actions.put({
        id,
        status,
        machineId: machine,
        computerDnsName: hostile,
        ...more,
      })
    put('i1', 'Succeeded', { type: 'Isolate', scope: 'Full' })
    put('s1', 'Pending', { type: 'RunAntiVirusScan', requestor: 'ann@example.com' })
    put('s2', 'Pending', { type: 'RunAntiVirusScan', requestor: 'bob@example.com' })
    await stack.post('changes/machine-actions/check')
  })

  test('is listed by isolation and open action, also for a device that no snapshot holds', async () => {
    const isolated = await stack.get('devices?isolation=isolated,selective')
    const pending = await follow('devices?pendingAction=runantivirusscan')
    const released = await follow('devices?isolation=released')
    const joined = await follow('devices?isolation=isolated&os=linux')
    const [one] = isolated.body.devices.filter(({ machineId }: Entry) => machineId === machine)
    expect(one).toMatchObject({
      computerDnsName: hostile,
      avHealth: null,
      standing: { isolation: { state: 'isolated', actionId: 'i1' } },
    })
    expect(isolated.body.asOf).toEqual(expect.any(String))
    expect(pending.map(({ machineId }) => machineId)).toContain(machine)
    expect(released.map(({ machineId }) => machineId)).not.toContain(machine)
    expect(joined.map(({ machineId }) => machineId)).not.toContain(machine)
  })

  test('is listed together with every other filter, in one snapshot', async () => {
    const rows = await snapshot()
    const isUnseen = ({ conditions }: (typeof rows)[number]) =>
      conditions.some(({ name }) => name === 'not-seen')
    const [unseen, seen] = [rows.filter(isUnseen).slice(0, 3), rows.filter((row) => !isUnseen(row))]
    for (const [n, { id: machineId }] of [...unseen, ...seen.slice(0, 2)].entries()) {
      const id = `held-${n}`
      stack.simulator.actions.put({ id, status: 'Pending', type: 'Offboard', machineId })
    }
    await stack.post('changes/machine-actions/check')

    const both = await follow('devices?pendingAction=offboard&condition=not-seen&limit=1')
    const named = await follow(
      `devices?pendingAction=any&name=${String(unseen[1]?.columns.computerDnsName)}`,
    )

    expect(both.map(({ machineId }) => machineId)).toEqual(unseen.map(({ id }) => id))
    for (const one of both) expect(one.avHealth?.lastSeenTime).toEqual(expect.any(String))
    expect(both.map(({ computerDnsName }) => computerDnsName)).toEqual(
      unseen.map(({ columns }) => columns.computerDnsName ?? null),
    )
    expect(named.map(({ machineId }) => machineId)).toContain(unseen[1]?.id)
  })

  test('is in the answer for one device, with its open actions, which name each other', async () => {
    const { body } = await stack.get(`devices/${machine.toUpperCase()}`)
    const { body: items } = await stack.get(
      `changes/machine-actions/items?machineId=${machine}&state=Pending`,
    )

    expect(body).toMatchObject({
      machineId: machine,
      computerDnsName: hostile,
      avHealth: { device: null },
      standing: { isolation: { state: 'isolated' }, codeExecution: { state: 'unknown' } },
    })
    const pending = body.standing.pending as { actionId: string; duplicateOf: string[] }[]
    expect(pending.map(({ actionId, duplicateOf }) => [actionId, duplicateOf]).sort()).toEqual([
      ['s1', ['s2']],
      ['s2', ['s1']],
    ])
    const { body: shown } = await stack.get('changes/machine-actions/items/s2')
    expect(shown.item.duplicateOf).toEqual(['s1'])
    const [created] = shown.events
    expect(body.lastEvents.find(({ actionId }: { actionId: string }) => actionId === 's2')).toEqual(
      {
        ...{ sequence: created.sequence, time: created.time, type: created.type },
        ...{ actionId: 's2', action: 'RunAntiVirusScan', state: 'Pending' },
      },
    )
    expect(
      items.items
        .map(({ id, duplicateOf }: { id: string; duplicateOf: string[] }) => [id, duplicateOf])
        .toSorted(),
    ).toEqual([
      ['s1', ['s2']],
      ['s2', ['s1']],
    ])
  })

  test('is counted in the overview, which agrees with status and summary', async () => {
    const { body } = await stack.get('overview')
    const { body: status } = await stack.get('status')
    const { body: summary } = await stack.get('av-health/summary')

    expect(body.standing.counts.isolated).toBeGreaterThan(0)
    expect(body.status.overall).toBe(status.overall)
    expect(body.fleet).toEqual(summary)
    expect(body.runs.current.runId).toBe(status.avHealth.current.runId)
  })

  test('is in an overview of one snapshot, also when one is published while it is made', async () => {
    const { runs: ledger } = await stack.engine()
    const { current } = ledger
    const newest = await current()
    const before = await ledger.runs(1, newest?.runId)
    let reads = 0
    const older = { ...newest, ...before[0], table: before[0]?.snapshot ?? '', publishedAt: '' }
    // The second of both reads finds the new one.
    ledger.current = async () => (reads++ === 0 ? (older as typeof newest) : current())
    try {
      const { body } = await stack.get('overview')

      expect(body.fleet.snapshot.runId).toBe(newest?.runId)
      expect(body.runs.current.runId).toBe(newest?.runId)
    } finally {
      ledger.current = current
    }
  })

  test('as CSV is one file by relay, in which a hostile name is whole and no formula', async () => {
    const file = join(tmpdir(), `relay-${process.pid}.csv`)
    const { code } = await typeRelay([
      ...['devices', 'list', '--pending', 'any', '--csv', file],
      ...['--url', stack.host.url, '--key', stack.keys.function],
    ])
    const text = await readFile(file, 'utf8')
    await rm(file)

    expect(code).toBe(0)
    expect(text.startsWith('\ufeff"machineId","computerDnsName"')).toBe(true)
    expect(text).toContain(`"'${hostile.replaceAll('"', '""')}"`)
  })
})

describe('one device', () => {
  test('has the scans that were looked up here and name it, and says that there may be others', async () => {
    const machineId = 'd'.repeat(40)
    const computerDnsName = 'HOST-1.contoso.example'
    const type = 'CollectInvestigationPackage'
    stack.simulator.actions.put({ id: 'p1', status: 'Pending', machineId, computerDnsName, type })
    await stack.post('changes/machine-actions/check')
    const { body: before } = await stack.get(`devices/${machineId}`)
    const { body: scan } = await stack.get('scan-history/tenable/scans/101')

    const { body } = await stack.get(`devices/${machineId}`)

    expect(before.knownScans).toEqual({ complete: false, scans: [] })
    expect(body.knownScans).toMatchObject({
      complete: false,
      scans: [{ id: '101', run: scan.run, state: scan.state, hostname: 'host-1.contoso.example' }],
    })
  })

  test('has its row, conditions, first time and last changes; its history agrees', async () => {
    const rows = await snapshot()
    const [row] = rows.filter(({ conditions }) => conditions.length > 0)
    const { body } = await stack.get(`devices/${row?.id}`)
    const { body: history } = await stack.get(`devices/${row?.id}/history`)

    expect(body.avHealth.device.machineId).toBe(row?.id)
    expect(body.avHealth.conditions.toSorted()).toEqual(
      row?.conditions.map(({ name }) => name).toSorted(),
    )
    expect(body.avHealth.lastChanges).toEqual(history.history.slice(0, 10))
    const name = String(row?.columns.computerDnsName)
    expect({ name, ...body.knownScans }).toEqual({ name, complete: false, scans: [] })
  })

  test('that is unknown is 404; what looks like a name is led to the list', async () => {
    const [id, name] = [
      await stack.get(`devices/${'0'.repeat(40)}`),
      await stack.get('devices/pc-1.contoso.com'),
    ]

    for (const { status, body } of [id, name])
      expect({ status, type: body.type }).toEqual({
        status: 404,
        type: 'urn:defender-relay:device-not-found',
      })
    expect(name.body.fix).toContain('GET /api/devices?name=')
  })
})

describe('the numbers', () => {
  test('of every dimension add up to the devices; a trend has null where there was no snapshot', async () => {
    const { body: summary } = await stack.get('av-health/summary')
    const { body: trend } = await stack.get('av-health/trend?days=30&by=os')

    for (const counts of Object.values<Record<string, number>>(summary.counts))
      expect(Object.values(counts).reduce((sum, one) => sum + one, 0)).toBe(summary.devices)
    expect(trend.days).toHaveLength(30)
    const points = trend.days.filter(({ counts }: { counts: unknown }) => counts !== null)
    expect(points.length).toBeGreaterThan(1)
    expect(points.length).toBeLessThan(30)
    expect(trend.days.map(({ partial }: { partial: boolean }) => partial).indexOf(true)).toBe(29)
  })

  test('of a time are those of the last snapshot before it; before the first one there are none', async () => {
    const at = new Date(stack.clock.now().getTime() - 10 * DAY_MS).toISOString()
    const early = await stack.get('av-health/summary?at=2020-01-01T00:00:00Z')
    const { body } = await stack.get(`av-health/summary?at=${at}`)

    expect(early).toMatchObject({
      status: 404,
      body: { type: 'urn:defender-relay:no-snapshot-yet' },
    })
    expect(runs).toContain(body.snapshot.runId)
  })

  test('of changes are listed newest first and by kind, and only of published runs', async () => {
    const all = (await follow('av-health/changes?limit=50', 'changes')) as unknown as {
      runId: string
      kind: string
    }[]
    const [kind = ''] = all.map((one) => one.kind)
    const some = await follow(`av-health/changes?kind=${kind}&limit=50`, 'changes')

    expect(all.length).toBeGreaterThan(0)
    expect(all.map(({ runId }) => runId)).toEqual(
      all
        .map(({ runId }) => runId)
        .toSorted()
        .reverse(),
    )
    expect(some).toHaveLength(all.filter((one) => one.kind === kind).length)
  })
})
