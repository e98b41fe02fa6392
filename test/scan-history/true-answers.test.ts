import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { noFaults } from '../../local/simulator/faults.ts'
import { sampleDefinitions, sampleSessions } from '../../local/simulator/scans/sample-scans.ts'
import { scansSwitches } from '../../local/simulator/switches/scans.ts'
import { noTimers, startTestStack, type TestStack } from '../stack.ts'

const [good] = sampleSessions
const [network, windows] = sampleDefinitions
let stack: TestStack
let nextId = 500

beforeAll(async () => {
  const env = {
    ...noTimers,
  }
  stack = await startTestStack({ fleet: { size: 10, files: 1, badLines: 0 }, env })
})
beforeEach(async () => {
  stack.simulator.setFaults(noFaults)
  stack.configure()
  // No answer that is not final is cached that long.
  stack.clock.advance(61_000)
  await get('tenable/scans/117/runs')
  await get('defender/definitions')
  stack.clock.advance(61_000)
})
afterAll(() => stack.stop())

const get = (path: string) => stack.request('GET', `scan-history/${path}`)

function turnOn(name: string) {
  const found = scansSwitches[name]
  if (!found) throw new Error(`no switch ${name}`)
  stack.simulator.setFaults(structuredClone(found.faults))
}

/** A new scan with two runs that are over, and the id of the newer one. */
function newScan() {
  const { id, runs } = stack.simulator.scans.tenable.put({ id: nextId++, runs: [{}, {}] })
  return { path: `tenable/scans/${id}`, run: runs.at(-1)?.uuid }
}

const stateOf = async (name: 'tenable' | 'defender') => {
  const { body } = await stack.get('status')
  return [body.upstreams[name].state, body.sections.scanHistory.state]
}

const noSums = { critical: null, high: null, medium: null, low: null, info: null }
const cacheOf = ({ headers }: Awaited<ReturnType<typeof get>>) => headers.get('cache-control')

describe('a run with a gap', () => {
  test.each([
    ['tenable-host-list-missing', { counts: { targets: 3, ...noSums }, targets: null }],
    ['tenable-host-list-short', { counts: { targets: 3, ...noSums }, targets: { length: 1 } }],
    ['tenable-reindexing', { counts: { targets: null, ...noSums }, targets: { length: 3 } }],
  ])('by %s is asked for again after 30 seconds, and is whole then', async (name, body) => {
    turnOn(name)
    const { path, run } = newScan()

    const gap = await get(`${path}?run=${run}`)
    stack.simulator.setFaults(noFaults)
    stack.clock.advance(31_000)
    const whole = await get(`${path}?run=${run}`)

    expect(gap.body).toMatchObject({
      state: 'completed',
      completeness: { kind: 'partial' },
      ...body,
    })
    expect(cacheOf(gap)).toBe('private, max-age=30')
    expect(whole.body).toMatchObject({ completeness: { kind: 'complete' }, targets: { length: 3 } })
    expect(cacheOf(whole)).toBe('private, max-age=86400')
  })

  test('of a session is asked for again after 30 seconds, and failed is not a count of the part', async () => {
    const targets = [{ status: 'Failure' }, {}, { status: 'Failure' }]
    stack.simulator.scans.sessions.put({ id: 'gap1', targets })
    turnOn('defender-targets-short')

    const gap = await get('defender/sessions/gap1')
    stack.simulator.setFaults(noFaults)
    stack.clock.advance(31_000)
    const whole = await get('defender/sessions/gap1')

    expect(gap.body.counts).toMatchObject({ targets: 3, succeeded: 1, failed: null })
    // This is the look-up by id already.
    expect(gap.body.completeness.whereElse).toBe('Nowhere now: Defender gives no more.')
    expect(cacheOf(gap)).toBe('private, max-age=30')
    expect(whole.body.counts).toMatchObject({ targets: 3, succeeded: 1, failed: 2 })
    expect(cacheOf(whole)).toBe('private, max-age=86400')
  })
})

describe('a run that is not over', () => {
  test.each([
    ['tenable-run-under-way', 'running'],
    ['tenable-run-queued', 'pending'],
    ['tenable-empty-again', 'pending'],
    ['tenable-empty-run', 'pending'],
  ])(
    'by %s is %s, without counts and targets, and with the last run named',
    async (name, state) => {
      turnOn(name)
      const { path } = newScan()

      const { body } = await get(path)
      const status = await get(`${path}/status`)

      expect(body).toMatchObject({ state, targets: null, completeness: { kind: 'running' } })
      expect(body.counts).toMatchObject({ targets: null, ...noSums })
      expect(body.completeness.whereElse).toMatch(new RegExp(`/${path}\\?run=[\\w-]{36}\\.$`))
      expect(status.body).toMatchObject({ state, over: false })
    },
  )

  test('is the same by its id as by the latest', async () => {
    turnOn('tenable-run-under-way')
    const { path, run } = newScan()

    const { body } = await get(`${path}?run=${run}`)

    expect(body).toMatchObject({ state: 'running', targets: null, counts: { targets: null } })
  })
})

test('a run of 20 months ago is not said to be in the export', async () => {
  turnOn('tenable-results-removed')

  const { body } = await get(newScan().path)

  expect(body.completeness).toMatchObject({
    kind: 'archived',
    reason: expect.stringContaining('15 months'),
    whereElse: expect.not.stringContaining('export'),
  })
})

test('a scan whose latest status is not there is the newest run of the list', async () => {
  turnOn('tenable-latest-status-missing')
  const { path, run } = newScan()

  expect(await get(path)).toMatchObject({ status: 200, body: { run: { id: run } } })
  expect((await get(`${path}/status`)).body).toMatchObject({ state: 'completed', over: true })
})

test('a list of runs that is null has no runs', async () => {
  turnOn('tenable-history-null')

  expect(await get(`${newScan().path}/runs`)).toMatchObject({ status: 200, body: { runs: [] } })
})

describe('definitions', () => {
  const show = async (id: string) => (await get(`defender/definitions/${id}`)).body.definition

  test('with flags as text, an empty last target, and a latest scan of nulls are read', async () => {
    turnOn('defender-definitions-loose')

    expect(await show(network)).toMatchObject({
      isActive: true,
      targets: ['127.0.0.1', '127.0.0.2'],
      latestScan: { state: 'never-run' },
    })
  })

  test('of Windows devices say that their kind is retired when nothing came since then', async () => {
    const before = await show(windows)
    turnOn('defender-windows-scans-retired')
    stack.clock.advance(61_000)

    expect(before.reason).toBeNull()
    expect(await show(windows)).toMatchObject({ reason: 'scan-kind-retired' })
    expect(await show(network)).toMatchObject({ reason: null })
  })
})

describe('a fault of one scan', () => {
  test('is the fault of that scan, and Tenable stays ok', async () => {
    turnOn('tenable-details-failing')

    for (const _try of [1, 2, 3, 4]) {
      const { status, body } = await get('tenable/scans/101')
      expect([status, body.type]).toEqual([502, 'urn:defender-relay:upstream-unavailable'])
    }

    expect(await stateOf('tenable')).toEqual(['ok', 'ok'])
  })

  test('in each of several scans in a row is the upstream, and passes with time', async () => {
    stack.simulator.setFaults({ tenableStatus: { answer: 'server-error', calls: 99 } })

    const states: unknown[] = []
    for (const id of [101, 102, 103]) {
      await get(`tenable/scans/${id}`)
      states.push(await stateOf('tenable'))
    }
    stack.clock.advance(16 * 60_000)

    expect(states).toEqual([
      ['ok', 'ok'],
      ['ok', 'ok'],
      ['unreachable', 'degraded'],
    ])
    expect(await stateOf('tenable')).toEqual(['unknown', 'ok'])
  })

  test('of one session leaves Defender ok', async () => {
    stack.simulator.setFaults({ scanHistoryStatus: { answer: 500, calls: 99 } })

    for (const _try of [1, 2, 3]) await get('defender/sessions/one')

    expect(await stateOf('defender')).toEqual(['ok', 'ok'])
  })
})

describe('a refusal for which repeating will not help', () => {
  test.each([
    ['tenable-bad-request', 'tenable/scans/101'],
    ['tenable-bad-request', 'tenable/scans/101/runs'],
    ['tenable-bad-request', 'tenable/scans/101/status'],
    ['defender-scans-bad-request', 'defender/sessions/one'],
    ['defender-scans-bad-request', `defender/definitions/${network}`],
    ['defender-scans-bad-request', 'defender/definitions'],
  ])('by %s is answered so by %s', async (name, path) => {
    turnOn(name)

    const { status, body } = await get(path)

    expect([status, body.type]).toEqual([502, 'urn:defender-relay:upstream-unavailable'])
    expect(body.fix).toMatch(/^Repeating the request will not help/)
  })

  test('does not make the upstream unreachable', async () => {
    turnOn('defender-scans-bad-request')

    await get('defender/definitions')

    expect(await stateOf('defender')).toEqual(['incompatible', 'degraded'])
  })
})

describe('a route that is gone', () => {
  test.each([
    ['tenable-routes-gone', 'tenable', 'tenable/scans/101'],
    ['tenable-routes-gone', 'tenable', 'tenable/scans/101?run=9'],
    ['tenable-routes-gone', 'tenable', 'tenable/scans/101/runs'],
    ['tenable-routes-gone', 'tenable', 'tenable/scans/101/status'],
    ['defender-scans-gone', 'defender', 'defender/definitions'],
    ['defender-scans-gone', 'defender', `defender/definitions/${network}`],
    ['defender-scans-gone', 'defender', 'defender/sessions/one'],
    ['defender-scans-gone', 'defender', 'defender/sessions?id=one&id=two'],
  ] as const)(
    'by %s is an error, and %s is gone in the status: %s',
    async (name, upstream, path) => {
      turnOn(name)

      const { status, body } = await get(path)

      expect([status, body.title]).toEqual([502, 'The upstream has no such route'])
      expect(body.fix).toMatch(/^Repeating the request will not help/)
      expect(await stateOf(upstream)).toEqual(['gone', 'degraded'])
    },
  )

  test('alone is not taken for a missing session or scan', async () => {
    stack.simulator.setFaults({ tenableHistoryStatus: { answer: 'no-such-path', calls: 9 } })

    expect(await get('tenable/scans/101')).toMatchObject({ status: 200, body: { id: '101' } })
    expect((await get('tenable/scans/101/runs')).status).toBe(502)
    expect((await get('tenable/scans/99999')).status).toBe(404)
    expect(await stateOf('tenable')).toEqual(['ok', 'ok'])
  })
})

describe('answers in another encoding', () => {
  const paths = ['tenable/scans/116', 'defender/definitions', `defender/sessions?id=${good}&id=x`]

  test.each(paths)('in deflate are read: %s', async (path) => {
    turnOn('scan-answers-deflated')

    expect((await get(path)).status).toBe(200)
  })

  test.each(paths)('in an unknown one name it as the cause: %s', async (path) => {
    turnOn('scan-answers-in-unknown-encoding')

    expect(await get(path)).toMatchObject({
      status: 502,
      body: {
        type: 'urn:defender-relay:upstream-changed',
        detail: expect.stringContaining('a body in the encoding "zstd"'),
      },
    })
  })
})
