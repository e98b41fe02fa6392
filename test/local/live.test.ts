import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { createAdjustableClock } from '../../local/clock.ts'
import { createSimulatorCredential } from '../../local/laptop.ts'
import { noFaults } from '../../local/simulator/faults.ts'
import { createFleet } from '../../local/simulator/fleet.ts'
import { type Simulator, startSimulator } from '../../local/simulator/simulator.ts'
import { preflightSchema } from '../../shared/app/flows.ts'
import { noTimers } from '../stack.ts'
import { ask, endAll, freshFolder, launch, onceLine, runToEnd } from './launch.ts'

let simulator: Simulator
let env: Record<string, string>

/** Simulates Defender, Tenable and the identity endpoint of the platform; the app finds them by its settings. */
beforeAll(async () => {
  const clock = createAdjustableClock()
  const token = { roles: ['Machine.Read.All', 'Vulnerability.Read.All'] }
  simulator = await startSimulator({
    clock,
    fleet: createFleet({ size: 30 }),
    faults: noFaults,
    token,
  })
  const credential = createSimulatorCredential(simulator.origin, clock)
  identity.on('request', async ({ url }, response) => {
    const resource = new URL(url ?? '', 'http://127.0.0.1').searchParams.get('resource')
    const found = await credential.getToken(`${resource}/.default`)
    const expires = Math.floor((found?.expiresOnTimestamp ?? 0) / 1000)
    const body = {
      access_token: found?.token,
      expires_on: String(expires),
      resource,
      token_type: 'Bearer',
    }
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  })
  identity.listen(0, '127.0.0.1')
  await once(identity, 'listening')
  env = {
    AZURE_CLIENT_ID: '0b1f4d0e-6f0a-4c53-9d0f-2f8f0b6c7a11',
    IDENTITY_ENDPOINT: `http://127.0.0.1:${(identity.address() as AddressInfo).port}/msi/token`,
    IDENTITY_HEADER: 'header-of-the-test',
  }
})
const identity = createServer()

afterAll(async () => {
  await endAll()
  identity.close()
  identity.closeAllConnections()
  await simulator.stop()
})

/** A settings file for the simulator, with further settings of a test. */
function settingsFile(more: Record<string, string> = {}): string {
  const file = join(freshFolder(), 'local.settings.json')
  const Values = {
    RELAY_STORAGE: 'UseDevelopmentStorage=true',
    DEFENDER_BASE_URL: `${simulator.origin}/defender`,
    ...noTimers,
    ...more,
  }
  writeFileSync(file, JSON.stringify({ IsEncrypted: false, Values }))
  return file
}

const statusSchema = z.object({ preflight: preflightSchema })
const states = (flows: z.output<typeof preflightSchema>) =>
  Object.fromEntries(flows.map(({ flow, state }) => [flow, state]))
const withoutAlerts = {
  'machine-actions': 'ready',
  investigations: 'off',
  'av-health-files': 'ready',
  'av-health-pages': 'ready',
  'defender-scans': 'ready',
  'tenable-scans': 'unused',
}

test('the preflight says for every flow whether it can run, and fails when a flow that is set up can’t', async () => {
  const ended = await runToEnd(['--settings', settingsFile()], 'preflight.ts', env)

  expect(ended.code).toBe(1)
  expect(ended.stdout).toMatch(/^ {2}machine actions +ready$/m)
  expect(ended.stdout).toMatch(/^ {2}investigations +off +grant: Alert\.Read\.All is missing$/m)
  expect(ended.stdout).toMatch(
    /^To fix it:\n {2}sh bicep\/grants\/grant-roles\.sh .* Alert\.Read\.All\n$/m,
  )
  expect(ended.stdout).toMatch(/^ {2}Tenable scan look-ups +unused$/m)
})

test('the preflight prints the same for scripts', async () => {
  const ended = await runToEnd(['--json', '--settings', settingsFile()], 'preflight.ts', env)

  expect(states(preflightSchema.parse(JSON.parse(ended.stdout)))).toEqual(withoutAlerts)
})

test('a settings file that can’t be used is named in one sentence', async () => {
  const broken = join(freshFolder(), 'broken.json')
  writeFileSync(broken, '{"Values": {"A": 1}}')

  const [none, wrong, option] = await Promise.all([
    runToEnd(['--settings', `${broken}.not`], 'preflight.ts', env),
    runToEnd(['--settings', broken], 'preflight.ts', env),
    runToEnd(['--bogus'], 'preflight.ts', env),
  ])

  expect(none).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/can't be read \(ENOENT\)\.\n$/),
  })
  expect(wrong).toMatchObject({ code: 1, stderr: expect.stringMatching(/is not a settings file/) })
  expect(option).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/^--bogus is unknown/),
  })
})

test('a live start uses the upstreams of the settings, stores in the emulator and imports nothing by itself', async () => {
  const folder = freshFolder()
  const args = ['--live', '--data', folder, '--port', '0', '--settings', settingsFile()]

  const started = launch(args, 'start.ts', env)
  await started.said('This is the real Defender')
  const status = statusSchema.parse(await ask(started, folder, 'status?preflight=true'))
  const runs = await ask(started, folder, 'av-health/exports')
  const body = JSON.stringify({ callbackUrl: 'http://127.0.0.1:9/hook' })
  const refused = await ask(started, folder, 'subscriptions', { method: 'POST', body })
  started.child.kill('SIGINT')
  const { code, stderr } = await started.ended

  expect(states(status.preflight)).toEqual(withoutAlerts)
  expect(stderr).toContain('Alert.Read.All is missing')
  expect(runs).toMatchObject({ runs: [] })
  expect(refused).toMatchObject({ type: 'urn:defender-relay:callback-refused' })
  expect(code).toBe(0)
})

test('a live start imports one export with --once, and its folder accepts no simulated data', async () => {
  const folder = freshFolder()
  // The links of the other method lead to a host that only the real service has.
  const settings = settingsFile({ AV_HEALTH_METHOD: 'json' })

  const ended = await runToEnd(
    ['--live', '--once', '--data', folder, '--port', '0', '--settings', settings],
    'start.ts',
    env,
  )
  const mixed = await runToEnd(['--once', '--fleet', '10', '--data', folder])

  expect(ended).toMatchObject({ code: 0 })
  expect(onceLine(ended)).toMatchObject({ state: 'published', method: 'json', devices: 30 })
  expect(mixed).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('holds real data: choose another --data'),
  })
})
