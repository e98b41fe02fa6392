import { expect, onTestFinished, test, vi } from 'vitest'
import { usualFaults } from '../../local/simulator/faults.ts'
import { sampleDefinitions } from '../../local/simulator/scans/sample-scans.ts'
import { faultSwitches } from '../../local/simulator/switches/index.ts'
import { platformSwitches } from '../../local/simulator/switches/platform.ts'
import { scansSwitches } from '../../local/simulator/switches/scans.ts'
import { type ProblemCode, problemCodes } from '../../shared/app/problem-codes.ts'
import { theApp } from '../../shared/app.ts'
import { bounds } from '../../shared/platform/body.ts'
import { codesIn, firedDuring } from './alarms.ts'
import { HOUR, MINUTE, type PlayedDay, startDay } from './played-day.ts'

const [network = '', windows = ''] = sampleDefinitions
const FLEET = 200
let day: PlayedDay
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

const isOnlyLookUps = (name: string) => Object.hasOwn(scansSwitches, name)
const concernsLookUps = (name: string) =>
  isOnlyLookUps(name) || Object.hasOwn(platformSwitches, name)

let exportedMs = 0
async function exportNow(): Promise<void> {
  exportedMs = day.clock.now().getTime()
  await day.exportNow()
}

/** Plays a fault for a while: all lines, what look-ups say, the problems that alert, and the rules that fire. */
async function playSwitch(name: string) {
  const { faults } = faultSwitches[name] ?? expect.fail(name)
  const from = day.traces.length
  const usual = structuredClone(day.simulator.faults)
  // A number that counts down shows each call.
  const played = JSON.parse(JSON.stringify(faults).replaceAll('"calls":null', '"calls":1000000'))
  let looks: string[] = []
  const alarms = await firedDuring(day, async () => {
    day.simulator.actions.put({ id: `during-${name}`, status: 'Pending' })
    day.simulator.setFaults(played)
    const end = JSON.stringify(faults).includes('"timeout"') ? endSilentCalls() : () => {}
    if (name.startsWith('export-')) await exportNow()
    if (concernsLookUps(name)) looks = await lookUps()
    await day.pass(8 * MINUTE)
    // So late that polls which fail have stopped.
    if (!isOnlyLookUps(name)) await day.pass(9 * MINUTE)
    end()
  })
  day.simulator.setFaults(usual)
  const traces = day.traces.slice(from)
  const said = [...looks, ...traces.map(({ message }) => message)].join('\n')
  return { alarms, said, problems: codesIn(traces) }
}

/** After the fault: polls and runs go on without problems, and nothing of meanwhile was lost or counted twice. */
async function recover(name: string) {
  // Its snapshot by pages is newer than the export that was there.
  if (name === 'export-role-missing-once') day.simulator.setFleet(day.fleetAt())
  const isDue = day.clock.now().getTime() - exportedMs > 6 * HOUR
  if (name.startsWith('export-') || isDue) await exportNow()
  const looks = concernsLookUps(name) ? await lookUps() : healthy.looks
  const from = day.traces.length
  // What was logged before is in no window after that.
  await day.pass(11 * MINUTE)
  const { feed } = await theApp().events()
  const events = await feed.eventsAbout('machine-actions', `during-${name}`)
  const lines = day.traces.slice(from).map(({ message }) => message.replace(/ \{.*$/s, ''))
  return {
    looks,
    problems: codesIn(day.traces.slice(from)),
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
  problems: [],
  polls: true,
  events: ['defender-relay.machine-action.appeared'],
}

/** The rule that finds a problem is that of its severity. */
const ruleOf = (code: string) => `${problemCodes[code as ProblemCode].severity}s`

test('a day with a window for each switch: what must be said is, no wrong cause is, and nothing is lost', {
  timeout: 1_800_000,
}, async () => {
  day = await startDay(new Date('2026-09-01T00:15:00Z'), { hasTenable: true, fleetSize: FLEET })
  onTestFinished(() => day.stop())
  await exportNow()
  await day.pass(MINUTE)

  for (const [name, { expects }] of Object.entries(faultSwitches)) {
    const { appear, never, problems: expected = [] } = expects ?? expect.fail(`${name}: expects`)

    const { alarms, said, problems } = await playSwitch(name)
    const after = await recover(name)

    const missing = appear.filter((code) => !said.includes(code))
    const wrong = never.filter((code) => said.includes(code))
    const rules = [...new Set(problems.map(ruleOf))].toSorted()
    expect(alarms).toEqual(rules)
    expect
      .soft({ name, missing, wrong, problems, after })
      .toEqual({ name, missing: [], wrong: [], problems: expected, after: healthy })
  }
})

test('every switch changes a fault, and says what is expected', () => {
  for (const [name, { faults, expects }] of Object.entries(faultSwitches)) {
    expect(Object.keys(usualFaults), name).toEqual(expect.arrayContaining(Object.keys(faults)))
    expect(expects?.appear, name).not.toHaveLength(0)
  }
})
