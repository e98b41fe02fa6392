import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { usualFaults } from '../../local/simulator/faults.ts'
import { sampleDefinitions } from '../../local/simulator/scans/sample-scans.ts'
import { faultSwitches } from '../../local/simulator/switches/index.ts'
import { theApp } from '../../shared/app.ts'
import { bounds } from '../../shared/platform/body.ts'
import { firedDuring, rules } from './alarms.ts'
import { MINUTE, type PlayedDay, startDay } from './played-day.ts'

const [network = '', windows = ''] = sampleDefinitions
let day: PlayedDay
beforeEach(async () => {
  day = await startDay(new Date('2026-09-01T00:00:00Z'), { hasTenable: true, fleetSize: 400 })
  await day.exportNow()
  await day.pass(MINUTE)
})
afterEach(() => day.stop())

/** Ends the time limit of a call as soon as the simulator has left it without an answer. */
function endSilentCalls() {
  const real = AbortSignal.timeout.bind(AbortSignal)
  const limits: AbortController[] = []
  const spy = vi.spyOn(AbortSignal, 'timeout').mockImplementation((ms) => {
    // Storage is real, and so is its time.
    if (ms <= bounds.storage.timeoutMs) return real(ms)
    const limit = new AbortController()
    limits.push(limit)
    return limit.signal
  })
  let counted = JSON.stringify(day.simulator.faults)
  const timer = setInterval(() => {
    const now = JSON.stringify(day.simulator.faults)
    if (now !== counted)
      for (const limit of limits.splice(0)) limit.abort(new DOMException('late', 'TimeoutError'))
    counted = now
  }, 5)
  const end = () => {
    clearInterval(timer)
    spy.mockRestore()
  }
  onTestFinished(end)
  return end
}

/** A look-up as one code: its source, its status and what it says. */
async function lookUp(source: string, route: string, id: string) {
  const { status, body } = await day.get(route, { id })
  const { state, completeness, definition, runs, type } = body
  const words = [
    state,
    completeness?.kind,
    definition?.latestScan.state,
    definition?.reason,
    runs && `of ${runs.length}`,
  ]
  const said = type?.replace('urn:defender-relay:', '') ?? words.filter(Boolean).join(' ')
  return `${source} ${status} ${said}`.trim()
}

let next = 900
/** What somebody looks up while a fault lasts, and what the status says then. */
async function lookUps(): Promise<string[]> {
  const id = next++
  day.simulator.scans.tenable.put({ id, runs: [{}, {}] })
  const targets = [{ status: 'Failure' }, {}, { status: 'Failure' }]
  day.simulator.scans.sessions.put({ id: `session-${id}`, targets })
  const found = [
    await lookUp('scan', 'show-tenable-scan', String(id)),
    await lookUp('runs', 'list-tenable-runs', String(id)),
    await lookUp('session', 'show-defender-session', `session-${id}`),
    await lookUp('network', 'show-defender-definition', network),
    await lookUp('windows', 'show-defender-definition', windows),
  ]
  const { body } = await day.get('status')
  const { defender, tenable } = body.upstreams
  return [...found, `defender is ${defender.state}`, `tenable is ${tenable.state}`]
}

/** Plays a fault for a while: all lines, what look-ups say, and the alarms. */
async function playSwitch(name: string) {
  const { faults } = faultSwitches[name] ?? expect.fail(name)
  const from = day.traces.length
  const codes = new Set<string>()
  const usual = structuredClone(day.simulator.faults)
  // A number that counts down shows each call.
  const played = JSON.parse(JSON.stringify(faults).replaceAll('"calls":null', '"calls":1000000'))
  const alarms = await firedDuring(
    day,
    async () => {
      day.simulator.actions.put({ id: `during-${name}`, status: 'Pending' })
      day.simulator.setFaults(played)
      const end = JSON.stringify(faults).includes('"timeout"') ? endSilentCalls() : () => {}
      for (let step = 0; step < 2; step++) await day.pass(10 * MINUTE)
      if (name.startsWith('export-')) await day.exportNow()
      for (const code of await lookUps()) codes.add(code)
      await day.pass(MINUTE)
      end()
    },
    // A rule that fires without a line sees the lines of before.
    ({ name }) => (name.startsWith('no-') ? day.traces : day.traces.slice(from)),
  )
  for (const { message } of day.traces.slice(from)) codes.add(message)
  day.simulator.setFaults(usual)
  return { alarms, said: [...codes].join('\n') }
}

/** After the fault: the polls go on, and nothing that happened meanwhile was lost or counted twice. */
async function recover(name: string) {
  const from = day.traces.length
  await day.pass(10 * MINUTE)
  const looks = await lookUps()
  await day.pass(MINUTE)
  const { feed } = await theApp().events()
  const events = await feed.eventsAbout('machine-actions', `during-${name}`)
  const lines = day.traces.slice(from).map(({ message }) => message.replace(/ \{.*$/s, ''))
  return {
    looks,
    polls: lines.filter((line) => line === 'poll finished').length > 0,
    events: events.map(({ type }) => type),
  }
}

const healthy = {
  looks: [
    'scan 200 completed complete',
    'runs 200 of 2',
    'session 200 completed complete',
    'network 200 completed',
    'windows 200 failed',
    'defender is ok',
    'tenable is ok',
  ],
  polls: true,
  events: ['defender-relay.machine-action.appeared'],
}

/** The alerts `no-poll-…` fire whenever polls fail: they say no more. */
const lineOf = (alarm: string) =>
  alarm.startsWith('no-poll-')
    ? 'poll failed'
    : (rules.find(({ name }) => name === alarm)?.read.message ?? '?')

test('a day with a window for each switch: what must be said is, no wrong cause is, and nothing is lost', {
  timeout: 1_800_000,
}, async () => {
  for (const [name, { expects }] of Object.entries(faultSwitches)) {
    const { appear, never } = expects ?? expect.fail(`${name} does not say what is expected`)

    const { alarms, said } = await playSwitch(name)
    const after = await recover(name)

    const missing = appear.filter((code) => !said.includes(code))
    const isExpected = (alarm: string) => appear.some((code) => code.startsWith(lineOf(alarm)))
    const wrong = [
      ...never.filter((code) => said.includes(code)),
      ...alarms.filter((alarm) => !isExpected(alarm)),
    ]
    expect
      .soft({ name, missing, wrong, after })
      .toEqual({ name, missing: [], wrong: [], after: healthy })
  }
})

test('every switch changes a fault, and says what is expected', () => {
  for (const [name, { faults, expects }] of Object.entries(faultSwitches)) {
    expect(Object.keys(usualFaults), name).toEqual(expect.arrayContaining(Object.keys(faults)))
    expect(expects?.appear, name).not.toHaveLength(0)
  }
})
