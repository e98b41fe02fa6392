import { afterEach, expect, test } from 'vitest'
import { emitHeartbeat } from '../../shared/app/heartbeat.ts'
import { comingEnds, toNotice } from '../../shared/app/problems.ts'
import { VERSION } from '../../shared/app/sections/base.ts'
import { theApp, useOverrides } from '../../shared/app.ts'
import { createLog } from '../../shared/platform/log.ts'
import { EVERY, firedDuring as findFired, rules } from './alarms.ts'
import { HOUR, MINUTE, type PlayedDay, startDay } from './played-day.ts'

/** Just often enough that nobody misses a poll. */
const QUIET_STEP = 14 * MINUTE

let day: PlayedDay
afterEach(() => day.stop())

async function begin(at: string): Promise<void> {
  day = await startDay(new Date(at))
  await day.exportNow()
  await day.pass(MINUTE)
}

const firedDuring = (work: () => Promise<void>) => findFired(day, work)

async function quiet(
  ms: number,
  each: (step: number) => Promise<void> | void = () => {},
): Promise<void> {
  for (let step = 0; step * QUIET_STEP < ms; step++) {
    await each(step)
    await day.pass(QUIET_STEP)
  }
}

const lines = (message: string) =>
  day.traces.filter((trace) => trace.message.startsWith(`${message} {`))

test('on a healthy day no alert fires, though much happens', { timeout: 1_200_000 }, async () => {
  await begin('2026-09-01T00:00:00Z')
  await day.subscribe('hook')

  const fired = await firedDuring(() =>
    quiet(24 * HOUR, async (step) => {
      if (step % 4 === 0) day.simulator.actions.put({ id: `a${step}`, status: 'Pending' })
      if (step % 4 === 2) day.simulator.actions.change(`a${step - 2}`, { status: 'Succeeded' })
      if (step % 4 === 3) await day.housekeeping()
      if (step % 50 === 49) {
        day.simulator.setFleet(day.fleetAt())
        await day.exportNow()
      }
    }),
  )

  expect(fired).toEqual([])
  expect(lines('delivery attempted').length).toBeGreaterThan(40)
  expect(lines('export run published')).toHaveLength(3)
})

async function idle(resource: string): Promise<void> {
  for (let step = 0; step < 2; step++) await day.pass(8 * MINUTE, { except: [resource] })
}

/** What brings each alarm about, and nothing else. */
const causes: Record<string, () => Promise<void>> = {
  'no-poll-machine-actions': () => idle('machine-actions'),
  'no-poll-investigations': () => idle('investigations'),
  async 'upstream-unreachable'() {
    day.simulator.setFaults({ machineActionsStatus: { answer: 503, calls: 4 } })
    await day.pass(EVERY)
  },
  async 'endpoint-retirement'() {
    // Hours apart: one 404 does not mean that a route is retired.
    for (let run = 0; run < 2; run++) {
      day.simulator.setFaults({ exportStatus: { answer: 404, calls: 1 } })
      await day.exportNow()
      await quiet(2 * HOUR)
    }
    day.simulator.setFleet(day.fleetAt())
    await day.exportNow()
  },
  async 'budget-exhausted'() {
    day.simulator.setFaults({
      machineActionsStatus: { answer: 429, calls: 1, retryAfterSeconds: 200 },
    })
    await day.pass(EVERY)
  },
  async 'missing-items'() {
    const ids = Array.from({ length: 7 }, (_, n) => `open${n}`)
    for (const id of ids) day.simulator.actions.put({ id, status: 'Pending' })
    await day.pass(EVERY)
    day.simulator.setFaults({ unknownOpenItems: true })
    for (let poll = 0; poll < 5; poll++) await day.pass(EVERY)
    day.simulator.setFaults({ unknownOpenItems: false })
    for (const id of ids) day.simulator.actions.change(id, { status: 'Succeeded' })
  },
  async 'dead-letters'() {
    const id = await day.subscribe('dead', 'refuse')
    day.simulator.actions.put({ id: 'dead', status: 'Pending' })
    await day.pass(EVERY)
    // Its event expires before it could be delivered.
    await day.expireEvents()
    await day.housekeeping()
    await day.unsubscribe(id)
  },
  async 'failing-subscription'() {
    const id = await day.subscribe('gone', 'gone')
    day.simulator.actions.put({ id: 'gone', status: 'Pending' })
    await day.pass(EVERY)
    await day.unsubscribe(id)
  },
  async 'failed-run'() {
    day.simulator.setFaults({ badGzip: 1 })
    day.simulator.setFleet(day.fleetAt())
    await day.exportNow()
    day.simulator.setFaults({ badGzip: 0 })
  },
  async rejects() {
    day.simulator.setFleet(day.fleetAt({ badLines: 1 }))
    await day.exportNow()
  },
  async 'no-snapshot'() {
    await quiet(37 * HOUR, async (step) => {
      if (step % 50 === 49) await day.exportNow()
    })
    expect(lines('export run ended').at(-1)?.message).toContain('"unchanged"')
  },
}

test('on a day with every cause each alert fires for its own cause, and for no other', {
  timeout: 1_200_000,
}, async () => {
  await begin('2026-09-01T00:00:00Z')
  const fired: Record<string, string[]> = {}

  for (const [name, cause] of Object.entries(causes)) {
    fired[name] = await firedDuring(async () => {
      await cause()
      await day.pass(EVERY)
    })
    // Until it is over, by the next cause nothing may fire any more.
    await quiet(40 * MINUTE)
  }

  expect(Object.keys(causes).toSorted()).toEqual(rules.map(({ name }) => name).toSorted())
  expect(fired).toEqual(Object.fromEntries(Object.keys(causes).map((name) => [name, [name]])))
})

test('a quiet day and a stopped app look different', async () => {
  await begin('2026-09-01T00:00:00Z')
  const seen = lines('heartbeat').length

  const nothing = await firedDuring(() => quiet(HOUR))
  const seenInQuiet = lines('heartbeat').length - seen
  const stopped = await firedDuring(async () => day.clock.advance(HOUR))

  expect([nothing, seenInQuiet]).toEqual([[], 5])
  expect(stopped).toEqual(['no-poll-investigations', 'no-poll-machine-actions'])
  expect(lines('heartbeat').length - seen).toBe(5)
})

test('the heartbeat shows data age, oldest open item, lag, snapshot, rejected rows and calls that are left', async () => {
  await begin('2026-09-01T00:00:00Z')
  day.simulator.actions.put({ id: 'open', status: 'Pending' })
  await day.pass(2 * MINUTE)
  await day.pass(MINUTE)

  const { message = '' } = lines('heartbeat').at(-1) ?? {}

  const facts = JSON.parse(message.slice(message.indexOf('{')))
  const { 'machine-actions': actions } = facts.changes
  expect(actions).toMatchObject({ pollAgeSeconds: expect.any(Number), error: null, openItems: 1 })
  expect(actions.oldestOpenSeconds).toBeGreaterThanOrEqual(180)
  expect(facts.events['machine-actions']).toEqual({ head: 1, dispatched: 1, lagSeconds: 0 })
  expect(facts.avHealth).toMatchObject({ devices: 120, lastRun: 'published', rejected: 0 })
  expect(facts.avHealth.snapshotAgeSeconds).toBeGreaterThanOrEqual(240)
  expect(facts.upstreams['defender export']).toMatchObject({ state: 'ok', hourLeft: 17 })
})

test('the heartbeat is written even where nothing is set up', async () => {
  await begin('2026-09-01T00:00:00Z')
  const written: string[] = []
  const keep = (line: string) => void written.push(line)
  useOverrides({ env: {}, clock: day.clock })

  await emitHeartbeat(theApp(), {
    log: createLog({ info: keep, warn: keep, error: keep }),
    trace: {},
  })

  expect(written).toEqual([
    `heartbeat ${JSON.stringify({ version: VERSION, changes: null, events: null, avHealth: null, upstreams: {} })}`,
  ])
})

test('a coming end is first a notice, and an alert when it is near or an answer announces it', async () => {
  const notices = async () => (await comingEnds(theApp())).map((end) => toNotice(end).title)
  await begin('2026-09-01T00:00:00Z')
  const early = await notices()
  day.clock.advance(60 * 24 * HOUR)
  const later = [await notices(), await firedDuring(() => day.pass(MINUTE))]
  await (await theApp().defender()).deprecation.observe('GET /api/x', {
    sunset: 'Fri, 01 Jan 2027 00:00:00 GMT',
  })
  const announced = [(await notices()).at(-1), await firedDuring(() => day.pass(MINUTE))]
  day.clock.advance(70 * 24 * HOUR)
  const near = [await notices(), await firedDuring(() => day.pass(MINUTE))]

  const stale = 'no-snapshot'
  const alarm = 'endpoint-retirement'
  expect(early).toEqual([])
  expect(later).toEqual([["Defender's API may end on 2027-02-01, in 93 days (MC1220762)"], [stale]])
  expect(announced).toEqual([
    'Defender announces the end of GET /api/x on 2027-01-01',
    [alarm, stale],
  ])
  expect(near).toEqual([
    ["Defender's API may end on 2027-02-01, in 23 days (MC1220762)"],
    [alarm, stale],
  ])
})

test('an export whose route is gone is an alert even while its pages work, and an alert does not repeat for ever', async () => {
  await begin('2026-09-01T00:00:00Z')
  const reported = () => firedDuring(() => day.pass(EVERY))
  const longAfter = async (ms: number) => {
    day.clock.advance(ms)
    await day.pass(EVERY)
    await quiet(40 * MINUTE)
    return reported()
  }

  const goneOnce = async () => {
    day.simulator.setFaults({ exportStatus: { answer: 404, calls: 1 } })
    await day.exportNow()
    return reported()
  }
  const once = await goneOnce()
  await quiet(3 * HOUR)
  const gone = await goneOnce()
  const dayAfter = await longAfter(25 * HOUR)
  day.simulator.setFaults({ exportStatus: { answer: 503, calls: 9 } })
  await day.exportNow()
  const unreachable = await reported()
  const hourAfter = await longAfter(HOUR)

  expect([once, gone, dayAfter]).toEqual([[], ['endpoint-retirement'], []])
  expect([unreachable, hourAfter]).toEqual([['failed-run', 'upstream-unreachable'], []])
})
