import { afterAll, beforeAll, expect, test } from 'vitest'
import { emitHeartbeat } from '../../shared/app/heartbeat.ts'
import { VERSION } from '../../shared/app/sections/base.ts'
import { theApp, useOverrides } from '../../shared/app.ts'
import { createLog } from '../../shared/platform/log.ts'
import { codesIn, EVERY, firedDuring as findFired } from './alarms.ts'
import { HOUR, MINUTE, type PlayedDay, startDay } from './played-day.ts'

/** Just often enough that every window has a heartbeat. */
const QUIET_STEP = 14 * MINUTE

// One day for all tests: each leaves it without problems.
let day: PlayedDay
beforeAll(async () => {
  day = await startDay(new Date('2026-09-01T00:15:00Z'))
  await day.exportNow()
  await day.pass(MINUTE)
})
afterAll(() => day.stop())

async function quiet(
  steps: number,
  each: (step: number) => Promise<void> | void = () => {},
): Promise<void> {
  for (let step = 0; step < steps; step++) {
    await each(step)
    await day.pass(QUIET_STEP)
  }
}

/** The rules that fire while something happens, and the codes of the problems that they find. */
async function firedDuring(work: () => Promise<void>) {
  const from = day.traces.length
  const fired = await findFired(day, work)
  return [...fired, ...codesIn(day.traces.slice(from))]
}

const lines = (message: string) =>
  day.traces.filter((trace) => trace.message.startsWith(`${message} {`))

/** A new export, and its run. */
async function exportNext(more: Parameters<PlayedDay['fleetAt']>[0] = {}) {
  day.simulator.setFleet(day.fleetAt(more))
  await day.exportNow()
}

test('while all is well no alert fires, though much happens', { timeout: 1_200_000 }, async () => {
  const id = await day.subscribe('hook')

  const fired = await firedDuring(() =>
    quiet(12, async (step) => {
      if (step % 2 === 0) day.simulator.actions.put({ id: `a${step}`, status: 'Pending' })
      else day.simulator.actions.change(`a${step - 1}`, { status: 'Succeeded' })
      if (step % 6 === 3) await day.housekeeping()
      if (step === 6) await exportNext()
    }),
  )

  expect(fired).toEqual([])
  expect(lines('delivery attempted').length).toBeGreaterThan(10)
  expect(lines('export run published')).toHaveLength(2)
  await day.unsubscribe(id)
})

interface Cause {
  fired: string[]
  /** Before the alerts are looked at: hours may pass at once. */
  before?(): Promise<unknown>
  during(): Promise<unknown>
  after?(): Promise<unknown>
}

const status = (answer: 404 | 429 | 503, calls: number) => ({ answer, calls })
const many = Array.from({ length: 7 }, (_, n) => `open${n}`)
let subscription = ''

function start(...ids: string[]): void {
  for (const id of ids) day.simulator.actions.put({ id, status: 'Pending' })
}
function end(...ids: string[]): void {
  for (const id of ids)
    if (day.simulator.actions.get(id)) day.simulator.actions.change(id, { status: 'Succeeded' })
}

/** What brings each alarm about, and nothing else. */
const causes: Record<string, Cause> = {
  'a kind that is not polled': {
    fired: ['errors', 'polls-stopped'],
    async during() {
      for (let step = 0; step < 2; step++)
        await day.pass(9 * MINUTE, { except: ['machine-actions'] })
    },
  },
  'an upstream that is down': {
    fired: ['errors', 'unreachable'],
    during: async () => day.simulator.setFaults({ machineActionsStatus: status(503, 4) }),
  },
  'a route that is gone for hours': {
    fired: ['errors', 'route-gone'],
    async before() {
      day.simulator.setFaults({ exportStatus: status(404, 1) })
      await day.exportNow()
      day.clock.advance(3 * HOUR)
    },
    async during() {
      day.simulator.setFaults({ exportStatus: status(404, 1) })
      await exportNext()
    },
    after: () => exportNext(),
  },
  'calls that are refused for a while': {
    fired: ['warnings', 'throttled'],
    during: async () =>
      day.simulator.setFaults({
        machineActionsStatus: { ...status(429, 1), retryAfterSeconds: 200 },
      }),
  },
  'open items that are all unknown': {
    fired: ['warnings', 'items-missing'],
    async before() {
      start(...many)
    },
    async during() {
      day.simulator.setFaults({ unknownOpenItems: true })
      for (let poll = 0; poll < 4; poll++) await day.pass(EVERY)
    },
    async after() {
      day.simulator.setFaults({ unknownOpenItems: false })
      end(...many)
    },
  },
  'deliveries that are dead': {
    fired: ['warnings', 'dead-letters'],
    async during() {
      subscription = await day.subscribe('dead', 'refuse')
      start('dead')
      await day.pass(MINUTE)
      // Its event expires before it could be delivered.
      await day.expireEvents()
      await day.housekeeping()
      await day.pass(MINUTE)
    },
    after: async () => {
      end('dead', 'gone', 'failing1', 'failing2', 'failing3')
      await day.unsubscribe(subscription)
    },
  },
  'a receiver that is gone': {
    fired: ['warnings', 'subscription-disabled'],
    async during() {
      subscription = await day.subscribe('gone', 'gone')
      start('gone')
    },
    after: async () => {
      end('dead', 'gone', 'failing1', 'failing2', 'failing3')
      await day.unsubscribe(subscription)
    },
  },
  'a receiver that fails for minutes': {
    fired: ['warnings', 'subscription-failing'],
    async during() {
      subscription = await day.subscribe('failing', 'refuse')
      // Three failures in a row.
      start('failing1', 'failing2', 'failing3')
      await day.pass(MINUTE)
    },
    after: async () => {
      end('dead', 'gone', 'failing1', 'failing2', 'failing3')
      await day.unsubscribe(subscription)
    },
  },
  'a damaged file': {
    fired: ['warnings', 'run-failed'],
    async during() {
      day.simulator.setFaults({ badGzip: 1 })
      await exportNext()
      day.simulator.setFaults({ badGzip: 0 })
    },
    after: () => exportNext(),
  },
  'lines that can not be read': {
    fired: ['notices', 'rows-rejected'],
    during: () => exportNext({ badLines: 1 }),
    after: () => exportNext(),
  },
  'runs that bring no newer export': {
    fired: ['warnings', 'snapshot-old'],
    async before() {
      for (let run = 0; run < 4; run++) {
        day.clock.advance(12 * HOUR)
        await day.exportNow()
      }
    },
    during: async () => {},
    after: () => exportNext(),
  },
  'runs that do not start': {
    fired: ['errors', 'runs-stopped'],
    before: async () => day.clock.advance(26 * HOUR),
    during: async () => {},
    after: () => exportNext(),
  },
}

test('each alert fires for its own cause, and for no other', { timeout: 1_200_000 }, async () => {
  for (const [name, { fired: expected, before, during, after }] of Object.entries(causes)) {
    if (before) await before().then(() => day.pass(MINUTE))
    const fired = await firedDuring(async () => {
      await during()
      await day.pass(EVERY)
    })
    await after?.()
    // Until it is over, by the next cause nothing may fire any more.
    await quiet(1)
    expect.soft({ name, fired }).toEqual({ name, fired: expected })
  }
})

test('a quiet hour and a stopped app look different', async () => {
  const seen = lines('heartbeat').length

  const nothing = await firedDuring(() => quiet(4))
  const seenInQuiet = lines('heartbeat').length - seen
  const stopped = await firedDuring(async () => day.clock.advance(HOUR))

  expect([nothing, seenInQuiet]).toEqual([[], 4])
  expect(stopped).toEqual(['errors'])
  expect(lines('heartbeat').length - seen).toBe(4)
})

test('the heartbeat shows data age, oldest open item, lag, snapshot, rejected rows and calls that are left', async () => {
  day.simulator.actions.put({ id: 'open', status: 'Pending' })
  await day.pass(2 * MINUTE)
  await day.pass(MINUTE)

  const { message = '' } = lines('heartbeat').at(-1) ?? {}

  const facts = JSON.parse(message.slice(message.indexOf('{')))
  const { 'machine-actions': actions } = facts.changes
  expect(actions).toMatchObject({ pollAgeSeconds: expect.any(Number), error: null, openItems: 1 })
  expect(actions.oldestOpenSeconds).toBeGreaterThanOrEqual(180)
  const { head, dispatched, lagSeconds } = facts.events['machine-actions']
  expect([head > 0, dispatched, lagSeconds]).toEqual([true, head, 0])
  expect(facts.avHealth).toMatchObject({ devices: 120, lastRun: 'published', rejected: 0 })
  expect(facts.avHealth.snapshotAgeSeconds).toBeGreaterThanOrEqual(240)
  expect(facts.upstreams['defender export']).toMatchObject({
    state: 'ok',
    hourLeft: expect.any(Number),
  })
})

test('the end of a route that an answer announces is an alert, which names the route and the day', async () => {
  await (await theApp().defender()).deprecation.observe('GET /api/x', {
    sunset: 'Fri, 01 Jan 2027 00:00:00 GMT',
  })

  const fired = await firedDuring(() => day.pass(MINUTE))

  expect(fired).toEqual(['warnings', 'route-ending'])
  expect(
    lines('problem')
      .map(({ message }) => message)
      .join('\n'),
  ).toContain('Defender announces the end of GET /api/x on 2027-01-01')
})

test('an export whose route is gone is an alert even while its pages work, and an alert does not repeat for ever', async () => {
  day.clock.advance(25 * HOUR)
  await exportNext()
  await quiet(1)
  const reported = () => firedDuring(() => day.pass(EVERY))
  const later = async (ms: number) => {
    day.clock.advance(ms)
    await day.pass(MINUTE)
    return reported()
  }
  const goneOnce = async () => {
    day.simulator.setFaults({ exportStatus: status(404, 1) })
    await day.exportNow()
    return reported()
  }

  const once = await goneOnce()
  const passed = await later(3 * HOUR)
  const gone = await goneOnce()
  const dayAfter = await later(25 * HOUR)
  day.simulator.setFaults({ exportStatus: status(503, 9) })
  await day.exportNow()
  const unreachable = await reported()
  const hourAfter = await later(HOUR)

  expect([once, passed, gone]).toEqual([[], [], ['errors', 'route-gone']])
  // What is left is that no run has started for a day; the snapshot is old because of that.
  expect(dayAfter).toEqual(['errors', 'runs-stopped'])
  // The failed run follows from the upstream while that lasts.
  expect(unreachable).toEqual(['errors', 'unreachable'])
  expect(hourAfter).toEqual(['warnings', 'run-failed'])
})

test('the heartbeat is written even where nothing is set up', async () => {
  const written: string[] = []
  const keep = (line: string) => void written.push(line)
  useOverrides({ env: {}, clock: day.clock })

  await emitHeartbeat(theApp(), {
    log: createLog({ info: keep, warn: keep, error: keep }),
    trace: {},
  })

  const [first = '', ...problems] = written
  expect(first).toBe(
    `heartbeat ${JSON.stringify({ version: VERSION, changes: null, events: null, avHealth: null, upstreams: {} })}`,
  )
  // One setting is missing, and that is one problem.
  expect(problems).toEqual([
    expect.stringMatching(
      /^problem \{"code":"setting-wrong","severity":"error","title":"RELAY_STORAGE__tableServiceUri is missing .*"alert":"error"\}$/,
    ),
  ])
})
