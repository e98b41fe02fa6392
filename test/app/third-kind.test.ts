import { randomUUID } from 'node:crypto'
import { InvocationContext } from '@azure/functions'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { defenderError, json } from '../../local/simulator/reply.ts'
import { authorize } from '../../local/simulator/route.ts'
import { routes } from '../../local/simulator/simulator.ts'
import type { FlowCheck } from '../../shared/app/flows.ts'
import { resources } from '../../shared/changes/resources/index.ts'
import type { TestStack } from '../stack.ts'
import { alerts } from './alerts-kind.ts'

// One line in the list: the app derives the rest when it is loaded, which is after this line.
resources.push(alerts)
const { noTimers, startTestStack } = await import('../stack.ts')
const { httpRoutes } = await import('../../shared/app/http.ts')
const { emitHeartbeat } = await import('../../shared/app/heartbeat.ts')
const { pollChanges, pollTimers } = await import('../../shared/app/triggers.ts')
const { theApp } = await import('../../shared/app.ts')
const { describeRoutes } = await import('../../local/tools/describe/routes.ts')
const { eventShapes } = await import('../../local/tools/describe/event-shapes.ts')

const limits = [{ calls: 100, seconds: 60 }]
const guard = { quota: 'alerts', limits, roles: [...alerts.roles], forced: null }
/** The queries with which the list was called. */
const searches: string[] = []
const served = new Map<string, Record<string, unknown>>()
routes.push(
  {
    method: 'GET',
    path: /^\/defender\/api\/alerts$/,
    answer(call, world) {
      searches.push(call.url.search)
      return authorize(call, world, guard) ?? json(200, { value: [...served.values()] })
    },
  },
  {
    method: 'GET',
    path: /^\/defender\/api\/alerts\/(?<id>[^/]+)$/,
    answer: (call, world) =>
      authorize(call, world, guard) ??
      (served.has(call.caught.id ?? '')
        ? json(200, { ...served.get(call.caught.id ?? '') })
        : defenderError(404, 'ResourceNotFound', 'There is no such alert.', randomUUID())),
  },
)

const roles: string[] = []
const granted = ['Alert.Read.All', 'Machine.Read.All', 'Vulnerability.Read.All']
const machineId = 'a'.repeat(40)
let stack: TestStack

const { setting, usual } = alerts.schedule
/** Starts the app with the usual schedule of alerts; the timers of its host have another one, and never fire. */
const configure = (schedule = usual) => stack.configure({ [setting]: schedule })

beforeAll(async () => {
  stack = await startTestStack({
    fleet: { size: 3, files: 1, badLines: 0 },
    token: { roles },
    env: { ...noTimers, [setting]: noTimers.MACHINE_ACTIONS_SCHEDULE },
  })
  configure()
})
beforeEach(() => {
  roles.splice(0, roles.length, ...granted)
  stack.clock.advance(60_000)
})
afterAll(() => stack.stop())

const now = () => stack.clock.now().toISOString()

/** Puts an alert into the service, or changes it. */
function put(id: string, status: string): void {
  const before = served.get(id) ?? { id, machineId, severity: 'High', alertCreationTime: now() }
  served.set(id, { ...before, status, lastUpdateTime: now() })
}

/** Runs the poll timer of the kind. */
const poll = () =>
  pollChanges('alerts', new InvocationContext({ functionName: 'poll-alerts', logHandler() {} }))

/** The lines of a heartbeat. */
async function beat(): Promise<string[]> {
  const lines: string[] = []
  const log = (word: string, facts?: object) => void lines.push(`${word} ${JSON.stringify(facts)}`)
  await emitHeartbeat(theApp(), { log: { info: log, warn: log, error: log }, trace: {} })
  return lines
}

test('it is polled by a timer of its own, and each change becomes one event of its own types', async () => {
  await poll()
  put('da1', 'New')
  await poll()
  put('da1', 'InProgress')
  const { status: checked } = await stack.post('changes/alerts/check')
  stack.clock.advance(60_000)
  put('da1', 'Resolved')
  await poll()
  const { body } = await stack.get('events?stream=alerts')
  const { body: shown } = await stack.get('changes/alerts/items/da1')
  const { body: all } = await stack.get('events')

  expect(pollTimers.at(-1)).toEqual({ name: 'alerts', setting: 'ALERTS_SCHEDULE' })
  expect(checked).toBe(200)
  const steps = body.events.map(
    ({ type, data }: { type: string; data: Record<string, unknown> }) => [
      type,
      data.from,
      data.to,
      data.terminal,
    ],
  )
  expect(steps).toEqual([
    ['defender-relay.alert.appeared', null, 'New', false],
    ['defender-relay.alert.changed', 'New', 'InProgress', false],
    ['defender-relay.alert.changed', 'InProgress', 'Resolved', true],
  ])
  for (const event of body.events)
    expect(eventShapes.AlertEvent?.safeParse(event)).toMatchObject({ success: true })
  expect(body.events[0].data).toMatchObject({ machineId, severity: 'High', resource: 'alerts' })
  expect(shown).toMatchObject({ item: { state: 'Resolved', terminal: true } })
  expect(shown.events).toHaveLength(3)
  // A reader that names no stream gets it, too.
  expect(all.events).toHaveLength(3)
})

test('status and heartbeat show it, and a refusal is a problem under its title', async () => {
  await poll()
  const { body: good } = await stack.get('status')
  roles.splice(0, 1)
  await poll()
  const { body: refused } = await stack.get('status')
  const lines = await beat()

  expect(good.changes.alerts).toMatchObject({ baselineDone: true, lastPoll: { error: null } })
  expect(good.changes.alerts.nextPollAt).toMatch(/:15\.000Z$/)
  expect(good.events).toHaveProperty('alerts')
  expect(good.sections.changes).toEqual({ state: 'ok', problems: [] })
  expect(refused.changes.alerts.lastPoll.error).not.toBeNull()
  expect(refused.sections.changes.problems).toEqual([
    expect.objectContaining({
      code: 'forbidden',
      title: 'Defender refuses the app (missing: Alert.Read.All or Alert.ReadWrite.All)',
      // Investigations lack the same role.
      consequences: expect.arrayContaining([
        'alerts: no calls succeed',
        'The last poll of alerts failed',
      ]),
    }),
  ])
  const heartbeat = lines.find((line) => line.startsWith('heartbeat ')) ?? ''
  expect(JSON.parse(heartbeat.slice('heartbeat '.length))).toMatchObject({
    changes: { alerts: { pollAgeSeconds: expect.any(Number) } },
    upstreams: { 'defender alerts': { state: 'forbidden' } },
  })
})

test('preflight checks it with its own probe and names its role', async () => {
  const check = async (): Promise<FlowCheck | undefined> =>
    (await stack.get('status?preflight=true')).body.preflight.find(
      ({ flow }: FlowCheck) => flow === 'alerts',
    )
  const ready = await check()
  roles.splice(0, 1)
  const off = await check()
  configure('each minute')
  const wrong = await check()
  configure()

  expect(ready).toMatchObject({ state: 'ready' })
  expect(ready?.checks.at(-1)).toMatchObject({ name: 'probe', ok: true })
  expect(searches).toContain('?$top=1')
  expect(off?.checks.at(-1)).toMatchObject({
    name: 'grant',
    problem: 'Alert.Read.All is missing',
    fix: expect.stringContaining('grant-roles.sh'),
  })
  expect(wrong?.checks[0]).toMatchObject({
    name: 'settings',
    problem: expect.stringContaining('ALERTS_SCHEDULE is wrong'),
  })
})

test('its calls have a budget of their own', async () => {
  await poll()
  const { body } = await stack.get('status')

  expect(body.upstreams.defender.budgets.alerts.hourLeft).toBeLessThan(1500)
})

test('the API description names it in paths, streams and event shapes', () => {
  const { openapi, swagger } = describeRoutes(httpRoutes)

  const shape = JSON.stringify(openapi.components.schemas.AlertEvent)
  for (const type of ['appeared', 'changed', 'overdue', 'gone'])
    expect(shape).toContain(`defender-relay.alert.${type}`)
  expect(JSON.stringify(openapi.components.schemas.CloudEvent)).toContain(
    '"defender-relay.alert.changed":"#/components/schemas/AlertEvent"',
  )
  const { parameters = [] } = openapi.paths['/changes/{resource}/items']?.get ?? {}
  expect(parameters.find(({ name }) => name === 'resource')?.schema.enum).toContain('alerts')
  expect(Object.keys(swagger.definitions)).toContain('AlertEvent')
})

test('polls that do not start any more are a problem of its own that alerts', async () => {
  await poll()
  stack.clock.advance(17 * 60_000)

  const lines = await beat()

  expect(lines.filter((line) => /^problem .*alerts.*"alert":"/.test(line))).toEqual([
    expect.stringMatching(
      /^problem \{"code":"polls-stopped".*No poll of alerts succeeded since.*"alert":"error"\}$/,
    ),
  ])
})
