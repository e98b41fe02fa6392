import { describe, expect, test } from 'vitest'
import { startScanCaller } from './scan-caller.ts'

const minuteMs = 60_000

test.each([
  [101, 'completed', 4, 3],
  [102, 'running', 1, 3],
  [103, 'paused', 1, 3],
  [104, 'pending', 1, 0],
  [105, 'aborted', 1, 1],
  [106, 'canceled', 1, 1],
  [107, 'stopped', 1, 2],
  [108, 'empty', 0, 0],
  [109, 'imported', 0, 3],
  [110, 'completed', 0, 3],
  [113, 'publishing', 1, 3],
  [116, 'completed', 1, 2000],
  [117, 'completed', 1, 0],
])(
  'without further ado scan %s is %s, with %s listed runs and %s hosts',
  async (id, status, runs, hosts) => {
    const { tenable } = await startScanCaller()

    const latest = await tenable(`scans/${id}/latest-status`)
    const history = await tenable(`scans/${id}/history`)
    const details = await tenable(`scans/${id}`)

    expect(latest.body).toEqual({ status })
    expect(history.body.pagination.total).toBe(runs)
    expect(details.body.info.status).toBe(status)
    expect(details.body.hosts).toHaveLength(hosts)
    const isUnderWay = ['running', 'paused', 'pending', 'publishing', 'empty'].includes(status)
    expect(details.body.info.scan_end === null).toBe(isUnderWay)
  },
)

test('a scan has three kinds of id: a number, 61 characters, or 52 when it was imported', async () => {
  const { tenable } = await startScanCaller()

  const [usual, imported] = [await tenable('scans/101'), await tenable('scans/109')]
  const { schedule_uuid: template } = usual.body.info
  const { schedule_uuid: long, uuid } = imported.body.info

  expect(template).toMatch(/^template-[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{28}$/)
  expect([template.length, long.length, uuid.length]).toEqual([61, 52, 52])
  expect((await tenable(`scans/${template}`)).text).toBe(usual.text)
  expect((await tenable(`scans/${long}?history_id=${uuid}`)).text).toBe(imported.text)
  expect(usual.body.info.uuid).toMatch(/^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/)
})

describe('runs', () => {
  test('are listed in pages, fifty by default, in the requested order', async () => {
    const { simulator, tenable } = await startScanCaller({
      faults: { unsortedRuns: 'oldest-first' },
    })
    const runs = Array.from({ length: 60 }, (_, place) => ({
      status: place % 2 === 0 ? 'completed' : 'aborted',
    }))
    simulator.scans.tenable.put({ id: 7, runs })
    const [oldest, second] = simulator.scans.tenable.get(7)?.runs ?? []
    const ids = ({ body }: { body: { history: { id: number }[] } }) =>
      body.history.map(({ id }) => id)

    const usual = await tenable('scans/7/history')
    const newest = await tenable('scans/7/history?limit=1&sort=start_date:desc')
    const last = await tenable(
      'scans/7/history?limit=20&offset=50&sort=start_date:desc&exclude_rollover=false',
    )
    const byTwo = await tenable('scans/7/history?limit=1&sort=status:asc,start_date:asc')
    const refused = await tenable('scans/7/history?sort=colour:asc')

    expect(usual.body.pagination).toEqual({ offset: 0, total: 60, sort: [], limit: 50 })
    expect([ids(usual).length, ids(usual)[0]]).toEqual([50, oldest?.id])
    expect(ids(newest)).toEqual([simulator.scans.tenable.get(7)?.runs.at(-1)?.id])
    expect(newest.body.pagination.sort).toEqual([{ name: 'start_date', order: 'desc' }])
    expect([ids(last).length, ids(last).at(-1)]).toEqual([10, oldest?.id])
    expect(ids(byTwo)).toEqual([second?.id])
    expect(refused.status).toBe(400)
  })

  test('of a rollover are left out on request', async () => {
    const { simulator, tenable } = await startScanCaller()
    simulator.scans.tenable.put({ id: 7, runs: [{}, { isRollover: true }, {}] })

    const totals = []
    for (const query of ['', '?exclude_rollover=false', '?exclude_rollover=true']) {
      totals.push((await tenable(`scans/7/history${query}`)).body.pagination.total)
    }

    expect(totals).toEqual([3, 3, 2])
  })

  test('advance by the clock', async () => {
    const { clock, tenable } = await startScanCaller()

    const statuses = []
    const ends = []
    for (let minute = 0; minute < 4; minute++) {
      statuses.push((await tenable('scans/118/latest-status')).body.status)
      ends.push((await tenable('scans/118')).body.info.scan_end)
      clock.advance(minuteMs)
    }

    expect(statuses).toEqual(['running', 'running', 'publishing', 'completed'])
    expect(ends).toEqual([null, null, null, Date.parse('2026-11-20T07:03:00Z') / 1000])
  })

  test('have no more future steps after a test has changed them', async () => {
    const { simulator, clock, tenable } = await startScanCaller()
    clock.advance(minuteMs)
    simulator.scans.tenable.changeRun(118, { status: 'canceled' })

    clock.advance(5 * minuteMs)
    const { info } = (await tenable('scans/118')).body

    expect([info.status, info.scan_end]).toEqual([
      'canceled',
      Date.parse('2026-11-20T07:01:00Z') / 1000,
    ])
  })

  test('that an agent has triggered can’t be requested', async () => {
    const { simulator, tenable } = await startScanCaller()
    const run = simulator.scans.tenable.get(110)?.runs[0]

    const statuses = []
    for (const query of ['', `?history_id=${run?.id}`])
      statuses.push((await tenable(`scans/110${query}`)).status)

    expect(statuses).toEqual([200, 404])
  })

  test('can be started and changed by a test', async () => {
    const { simulator, clock, tenable } = await startScanCaller()
    const { tenable: store } = simulator.scans
    const { uuid } = store.startRun(108, { status: 'pending', startedAt: null, hosts: 1 })

    const seen = []
    for (const status of ['pending', 'running', 'completed']) {
      clock.advance(minuteMs)
      store.changeRun(108, { status })
      const { info, hosts } = (await tenable('scans/108')).body
      seen.push([info.uuid, info.status, info.scan_start, info.scan_end, hosts.length])
    }

    const at = (minute: number) => Date.parse('2026-11-20T07:00:00Z') / 1000 + minute * 60
    expect(seen).toEqual([
      [uuid, 'pending', null, null, 0],
      [uuid, 'running', at(2), null, 1],
      [uuid, 'completed', at(2), at(3), 1],
    ])
    store.remove(108)
    expect((await tenable('scans/108')).status).toBe(404)
    expect(() => store.changeRun(108, {})).toThrow('There is no such run of scan 108.')
  })
})
