import { globSync, readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { basename } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest'
import { createFleet } from '../../local/simulator/fleet.ts'
import { logicAppsSets, readText } from '../bicep/template-texts.ts'
import { root } from '../functions/load-registrations.ts'
import { noTimers, startTestStack, type TestStack } from '../stack.ts'
import { type Definition, type Run, startWorkflow } from './stand-in.ts'

const folder = `${root}logic-apps/workflows`
const names = globSync('*.json', { cwd: folder }).map((file) => basename(file, '.json'))
const read = (name: string): Definition =>
  JSON.parse(readFileSync(`${folder}/${name}.json`, 'utf8'))

const fleetAt = (generatedTime: string) =>
  createFleet({ size: 24, files: 2, badLines: 0, generatedTime })
const DAY = 86_400_000
const device = 'd'.repeat(40)

/** What the services around a workflow got. */
interface Received {
  path: string
  headers: Record<string, unknown>
  // biome-ignore lint/suspicious/noExplicitAny: every service gets other members.
  body: any
}

let stack: TestStack
let services: Server
let origin = ''
let received: Received[] = []
/** What Defender answers to a request to isolate. */
let isolate: (id: string) => { status: number; body: object }
/** What happens while a workflow waits. */
let meanwhile: () => Promise<void>
let isolated = 0

beforeAll(async () => {
  const { generatedTime } = createFleet().options
  stack = await startTestStack({
    env: { ...noTimers, AV_HEALTH_SIGNATURE_DAYS: '1' },
    fleet: fleetAt(generatedTime).options,
  })
  services = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const body = JSON.parse(Buffer.concat(chunks).toString())
    const path = request.url ?? ''
    received.push({ path, headers: request.headers, body })
    isolated += path.endsWith('/isolate') ? 1 : 0
    const answer = path.endsWith('/isolate')
      ? isolate(`isolation-${isolated}`)
      : { status: path.startsWith('/teams') ? 202 : 201, body: {} }
    response
      .writeHead(answer.status, { 'content-type': 'application/json' })
      .end(JSON.stringify(answer.body))
  })
  await new Promise<void>((resolve) => services.listen(0, '127.0.0.1', resolve))
  origin = `http://127.0.0.1:${(services.address() as AddressInfo).port}`
  // The first poll is a baseline without events.
  await check()
})
afterAll(async () => {
  await stack.stop()
  await new Promise((resolve) => services.close(resolve))
})
beforeEach(() => {
  received = []
  meanwhile = async () => {}
})

const check = () => stack.post('changes/machine-actions/check')

/** Starts a workflow that is ready to deploy, beside the app and the services. */
async function play(name: string, parameters: Record<string, unknown> = {}) {
  const workflow = await startWorkflow({
    definition: read(name),
    parameters: { relayUrl: stack.host.url, relayKey: stack.keys.function, ...parameters },
    connections: { office365: `${origin}/office365` },
    async wait(seconds) {
      await meanwhile()
      stack.clock.advance(seconds * 1000)
    },
  })
  onTestFinished(async () => {
    await workflow.stop()
    expect(JSON.stringify(received)).not.toContain(stack.keys.function)
  })
  return workflow
}

/** Waits for runs that events have started. */
async function runsOf({ runs }: { runs: Promise<Run>[] }, count: number): Promise<Run[]> {
  while (runs.length < count) {
    await new Promise((resolve) => setTimeout(resolve, 20))
    stack.clock.advance(1000)
  }
  return Promise.all(runs)
}

const to = (path: string) => received.filter((one) => one.path.startsWith(path))
const failures = ({ actions }: Run) =>
  Object.entries(actions).flatMap(([name, { status, error, outputs }]) =>
    status === 'Failed' ? [`${name}: ${error ?? JSON.stringify(outputs)}`] : [],
  )

const tickets = () => ({ ticketsUrl: `${origin}/tickets`, ticketsAuthorization: 'Basic dTpw' })

test('an action that has ended is a Teams message, and a comment on the ticket that the requestor names', async () => {
  const workflow = await play('action-ended', { teamsUrl: `${origin}/teams?sig=s`, ...tickets() })
  const subscribed = await workflow.subscribe()
  const action = { type: 'Isolate', machineId: device, computerDnsName: 'pc-1', requestor: 'ann' }
  stack.simulator.actions.put({
    ...{ id: 'a1', status: 'Pending', requestorComment: 'INC0012345 contain it' },
    ...action,
  })
  stack.simulator.actions.put({ id: 'a2', status: 'Pending', requestorComment: null, ...action })
  await check()
  stack.simulator.actions.change('a1', { status: 'Succeeded' })
  stack.simulator.actions.change('a2', { status: 'Failed' })
  await check()
  const runs = await runsOf(workflow, 2)
  const unsubscribed = await workflow.unsubscribe()

  expect([subscribed.status, unsubscribed.status]).toEqual(['Succeeded', 'Succeeded'])
  expect(runs.flatMap(failures)).toEqual([])
  const texts = to('/teams').map(({ body }) => body.attachments[0].content.body[0].text)
  expect(texts.sort()).toEqual(['Isolate on pc-1: Failed', 'Isolate on pc-1: Succeeded'])
  expect(to('/tickets')).toMatchObject([
    {
      path: '/tickets/INC0012345/comments',
      headers: {
        authorization: 'Basic dTpw',
        'idempotency-key': expect.stringMatching(/^machine-actions-/),
      },
      body: { text: 'Isolate on pc-1: Succeeded' },
    },
  ])
  expect((await stack.get('subscriptions')).body.subscriptions).toEqual([])
})

const asked = { machineId: device, comment: 'contain it', requestedBy: 'ann@contoso.example' }

test.each([
  ['Succeeded', 'Succeeded', 'Isolated: pc-1', 'Succeeded (terminal)'],
  ['Failed', 'Failed', 'Not isolated: pc-1', 'Failed'],
  ['TimeOut', 'Failed', 'Not isolated: pc-1', 'TimeOut'],
])(
  'an isolation that ends as %s: the run has %s, and who asked gets a mail',
  async (state, status, subject, text) => {
    const workflow = await play('isolate-and-wait', { defenderUrl: origin })
    let id = ''
    isolate = (made) => {
      id = made
      const action = { type: 'Isolate', machineId: device, computerDnsName: 'pc-1' }
      stack.simulator.actions.put({ id, status: 'Pending', ...action })
      return { status: 201, body: { id, status: 'Pending' } }
    }
    let waits = 0
    meanwhile = async () => {
      waits += 1
      if (waits === 2) stack.simulator.actions.change(id, { status: state })
      await check()
    }
    const run = await workflow.run({ body: asked })

    expect(run.status).toBe(status)
    expect(waits).toBeGreaterThanOrEqual(2)
    expect(to('/api/machines')).toMatchObject([
      {
        path: `/api/machines/${device}/isolate`,
        headers: { authorization: 'Bearer https://api.securitycenter.microsoft.com' },
        body: { Comment: 'contain it', IsolationType: 'Full' },
      },
    ])
    expect(to('/office365')).toMatchObject([
      { path: '/office365/v2/Mail', body: { To: 'ann@contoso.example', Subject: subject } },
    ])
    expect(to('/office365')[0]?.body.Body).toContain(`Action ${id}: ${text}`)
  },
)

test('an isolation that Defender refuses is mailed with its words, and the run has failed', async () => {
  const workflow = await play('isolate-and-wait', { defenderUrl: origin })
  isolate = () => ({ status: 400, body: { error: { message: 'already pending' } } })
  const run = await workflow.run({ body: asked })

  expect([run.status, run.actions.Wait_for_the_end?.status]).toEqual(['Failed', 'Skipped'])
  expect(to('/office365')[0]?.body).toMatchObject({
    Subject: `Not isolated: ${device}`,
    Body: '<p>Action was refused: already pending.</p>',
  })
})

test('devices that are newly stale in a snapshot are one ticket, read page by page; none make none', async () => {
  const workflow = await play('stale-devices', { ...tickets(), pageSize: 3 })
  await workflow.subscribe()
  const runExport = async () => {
    const { body } = await stack.post('av-health/exports')
    return stack.runToEnd(body.runId)
  }
  await runExport()
  await runsOf(workflow, 1)
  const before = to('/tickets').length
  const later = new Date(Date.parse(stack.fleet.options.generatedTime) + 3 * DAY)
  stack.simulator.setFleet(fleetAt(later.toISOString()))
  const { runId } = await runExport()
  const runs = await runsOf(workflow, 2)
  const { body } = await stack.get('av-health/changes?kind=signature-stale&limit=1000')
  await workflow.unsubscribe()

  expect(runs.flatMap(failures)).toEqual([])
  expect(before).toBe(0)
  const stale = body.changes.map((one: { computerDnsName: string }) => one.computerDnsName)
  expect(stale.length).toBeGreaterThan(3)
  expect(to('/tickets')).toMatchObject([
    {
      path: '/tickets',
      body: { title: `${stale.length} devices have stale antivirus signatures`, snapshot: runId },
    },
  ])
  expect(to('/tickets')[0]?.body.devices.sort()).toEqual(stale.sort())
})

test('each run of a scan is one mail, in the hour in which it ended', async () => {
  const workflow = await play('scan-finished', { scanId: '101', mailTo: 'soc@contoso.example' })
  const { body } = await stack.get('scan-history/tenable/scans/101/runs')
  const [{ endedAt }] = body.runs
  const hour = Math.floor(Date.parse(endedAt) / 3_600_000) * 3_600_000
  const window = (hours: number) => ({
    windowStartTime: new Date(hour + hours * 3_600_000).toISOString(),
    windowEndTime: new Date(hour + (hours + 1) * 3_600_000).toISOString(),
  })
  const runs: Run[] = []
  for (const hours of [-1, 0, 1]) runs.push(await workflow.run(window(hours)))

  expect(runs.flatMap(failures)).toEqual([])
  expect(to('/office365').map((one) => one.body)).toEqual([
    {
      To: 'soc@contoso.example',
      Subject: 'Scan Weekly servers: completed',
      Body: expect.stringMatching(/Weekly servers ended at .*Targets: \d+.*Completeness: complete/),
    },
  ])
})

test.each(names)('%s is deployed with every parameter that it has no value for', (name) => {
  const template = readText(`logic-apps/workflows/${name}.bicep`)
  const values = /values: \{([^}]*)\}/.exec(template)?.[1] ?? ''
  const passed = [...values.matchAll(/(\w+): (\w+)/g)].map(([, one = '', from]) => [one, from])
  const { parameters } = read(name)

  expect(logicAppsSets).toContain(`workflow-${name}`)
  for (const [one = '', from] of passed) {
    expect(from).toBe(one)
    const isSecret = new RegExp(`@secure\\(\\)\\n(?:@.*\\n)?param ${one} `).test(template)
    expect({ one, isSecret }).toEqual({ one, isSecret: parameters[one]?.type === 'SecureString' })
  }
  const open = Object.keys(parameters).filter(
    (one) => parameters[one]?.defaultValue === undefined && !passed.some(([it]) => it === one),
  )
  expect(open).toEqual([])
})

test.each(names)('%s hides every secret from its run history and declares what it uses', (name) => {
  const { parameters, triggers, actions } = read(name)
  const secret = Object.keys(parameters).filter((one) => parameters[one]?.type === 'SecureString')
  const inputs: { name: string; text: string; isHidden: boolean }[] = []
  const collect = (steps: Record<string, object>) => {
    for (const [step, one] of Object.entries(steps)) {
      const { actions: inner, else: other, ...own } = one as Definition['actions'][string]
      const text = JSON.stringify(own)
      inputs.push({
        name: step,
        text,
        isHidden: text.includes('"secureData":{"properties":["inputs"]}'),
      })
      if (inner) collect(inner)
      if (other) collect(other.actions)
    }
  }
  collect(triggers)
  collect(actions)
  const uses = (text: string) =>
    [...text.matchAll(/parameters\('([$\w]+)'\)/g)].map(([, one = '']) => one)

  expect(
    inputs.filter(
      ({ text, isHidden }) => !isHidden && uses(text).some((one) => secret.includes(one)),
    ),
  ).toEqual([])
  expect([...new Set(inputs.flatMap(({ text }) => uses(text)))].sort()).toEqual(
    Object.keys(parameters).sort(),
  )
})
