import { once } from 'node:events'
import { createServer, request as forward, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { InvocationContext } from '@azure/functions'
import { CredentialUnavailableError } from '@azure/identity'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { type FlowCheck, flows, rolesToAskFor } from '../../shared/app/flows.ts'
import { pollChanges } from '../../shared/app/triggers.ts'
import { useOverrides } from '../../shared/app.ts'
import { TENABLE_PERMISSION } from '../../shared/upstreams/limits-and-roles.ts'
import { noTimers, startTestStack, type TestStack } from '../stack.ts'

// The simulated token endpoint keeps this list: the next token has the roles that are in it then.
const roles: string[] = []
let stack: TestStack

beforeAll(async () => {
  stack = await startTestStack({
    fleet: { size: 20, files: 1, badLines: 0 },
    token: { roles },
    env: {
      ...noTimers,
    },
  })
})
beforeEach(() => {
  grant(rolesToAskFor)
  stack.simulator.setFaults({ tenableScansStatus: null, machineActionsStatus: null })
  stack.configure()
})
afterAll(() => stack.stop())

function grant(given: readonly string[]): void {
  roles.splice(0, roles.length, ...given)
}

async function look(): Promise<{ looks: FlowCheck[]; body: Record<string, unknown> }> {
  const { status, body } = await stack.get('status?preflight=true')
  expect(status).toBe(200)
  return { looks: body.preflight, body }
}

const keys = flows.map(({ key }) => key)
const off = (looks: FlowCheck[]) =>
  looks.filter(({ state }) => state === 'off').map(({ flow }) => flow)
const failed = (looks: FlowCheck[]) => looks.flatMap(({ checks }) => checks.filter(({ ok }) => !ok))
const needing = (role: string) =>
  flows.filter(({ family }) => family?.roles[0] === role).map(({ key }) => key)
const calls = (path: string) =>
  stack.simulator.requests.filter((request) => request.path.includes(path)).length

test('with everything granted every flow is ready, and every check of it was made', async () => {
  const { looks } = await look()

  expect(looks.map(({ flow }) => flow)).toEqual([...keys])
  expect(failed(looks)).toEqual([])
  expect(looks.map(({ checks }) => checks.at(-1)?.name)).toEqual(keys.map(() => 'probe'))
})

test('the status makes no preflight without the parameter', async () => {
  const { body } = await stack.get('status')
  const { body: refused } = await stack.get('status?preflight=maybe')

  expect(body).not.toHaveProperty('preflight')
  expect(refused.type).toBe('urn:defender-relay:invalid-request')
})

describe('a role that is taken away', () => {
  test.each(rolesToAskFor)('%s is named, and only the flows that need it are off', async (role) => {
    grant(rolesToAskFor.filter((other) => other !== role))

    const { looks } = await look()

    expect(off(looks)).toEqual(needing(role))
    for (const { name, problem, fix } of failed(looks)) {
      expect({ name, problem }).toEqual({ name: 'grant', problem: `${role} is missing` })
      expect(fix).toMatch(new RegExp(`^sh bicep/grants/grant-roles\\.sh .+ ${role}$`))
    }
  })

  test('does not matter where the wider one is granted already', async () => {
    grant(['Machine.ReadWrite.All', 'Alert.ReadWrite.All', 'Machine.Read.All'])

    expect(off((await look()).looks)).toEqual([])
  })

  test('does not matter to a method of the export that the settings do not use', async () => {
    grant(rolesToAskFor.filter((role) => role !== 'Vulnerability.Read.All'))
    stack.configure({ AV_HEALTH_METHOD: 'json' })

    const { looks } = await look()

    expect(looks.find(({ flow }) => flow === 'av-health-files')).toMatchObject({
      state: 'unused',
      checks: [],
    })
    expect(off(looks)).toEqual([])
  })
})

describe('Tenable', () => {
  test.each([
    ['forbidden', `${TENABLE_PERMISSION} is missing`, 'Tenable'],
    [
      'unauthorized',
      'valid keys in TENABLE_ACCESS_KEY and TENABLE_SECRET_KEY is missing',
      'az keyvault secret set',
    ],
  ] as const)(
    'that answers %s is off alone, and what its user lacks is named',
    async (answer, problem, fix) => {
      stack.simulator.setFaults({ tenableScansStatus: { answer, calls: 1 } })

      const { looks } = await look()

      expect(off(looks)).toEqual(['tenable-scans'])
      expect(failed(looks)).toMatchObject([{ name: 'probe', ok: false }])
      expect(failed(looks)[0]?.problem).toContain(problem)
      expect(failed(looks)[0]?.fix).toContain(fix)
    },
  )

  test('without keys is unused, with one of them wrongly set up', async () => {
    stack.configure({ TENABLE_ACCESS_KEY: '', TENABLE_SECRET_KEY: '' })
    const { looks: none } = await look()
    stack.configure({ TENABLE_SECRET_KEY: '' })
    const { looks: half } = await look()

    expect(none.at(-1)).toEqual({ flow: 'tenable-scans', state: 'unused', checks: [] })
    expect(off(half)).toEqual(['tenable-scans'])
    expect(failed(half)).toMatchObject([
      { name: 'settings', problem: 'TENABLE_SECRET_KEY is missing' },
    ])
  })
})

describe('the data account', () => {
  const denying: RequestListener = (_request, response) => {
    response.writeHead(403, {
      'content-type': 'application/xml',
      'x-ms-error-code': 'AuthorizationPermissionMismatch',
    })
    response.end('<?xml version="1.0"?><Error><Code>AuthorizationPermissionMismatch</Code></Error>')
  }

  test('without the right to write queues stops the flows that write events, and names the role', async () => {
    const endpoint = `QueueEndpoint=${await serve(denying)}/account`
    stack.configure({ RELAY_STORAGE: stack.storage.replace(/QueueEndpoint=[^;]+/, endpoint) })

    const { looks, body } = await look()

    const withQueues = flows
      .filter(({ dataAccount }) => dataAccount.includes('Storage Queue Data Contributor'))
      .map(({ key }) => key)
    expect(off(looks)).toEqual(withQueues)
    expect(new Set(failed(looks).map(({ name, problem }) => `${name}: ${problem}`))).toEqual(
      new Set(['queues: Storage Queue Data Contributor is missing on the data account']),
    )
    expect(body).toMatchObject({
      sections: { changes: { state: 'degraded' }, scanHistory: { state: 'ok' } },
    })
  })

  /** Passes everything on to the tables of the account, but writes of rows. */
  const readOnly: RequestListener = (request, response) => {
    if (request.url?.endsWith('$batch')) {
      request.resume()
      denying(request, response)
      return
    }
    const { origin } = new URL(/TableEndpoint=([^;]+)/.exec(stack.storage)?.[1] ?? '')
    const { method = 'GET', headers, url } = request
    const onward = forward(`${origin}${url}`, { method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers)
      answer.pipe(response)
    })
    request.pipe(onward)
  }

  test.each([
    ['made', denying],
    ['written', readOnly],
  ])('where tables can not be %s stops everything, and names the role', async (_what, answer) => {
    const { pathname } = new URL(/TableEndpoint=([^;]+)/.exec(stack.storage)?.[1] ?? '')
    const endpoint = `TableEndpoint=${await serve(answer)}${pathname}`
    stack.configure({ RELAY_STORAGE: stack.storage.replace(/TableEndpoint=[^;]+/, endpoint) })

    const { looks } = await look()

    expect(off(looks)).toEqual([...keys])
    expect(new Set(failed(looks).map(({ name, problem }) => `${name}: ${problem}`))).toEqual(
      new Set(['tables: Storage Table Data Contributor is missing on the data account']),
    )
  })

  test('of secrets without its role stops what needs secrets, names role and setting, and nothing else stops', async () => {
    await stack.post('changes/machine-actions/check')
    const endpoint = `TableEndpoint=${await serve(denying)}/account`
    stack.configure({ RELAY_SECRETS: stack.secrets.replace(/TableEndpoint=[^;]+/, endpoint) })

    const { looks, body } = await look()
    stack.simulator.actions.put({ id: 'a1', status: 'Pending' })
    const polled = await stack.post('changes/machine-actions/check')
    const subscribed = await stack.post('subscriptions', {
      callbackUrl: stack.simulator.receiver('hook').url,
    })

    const withEvents = flows
      .filter(({ dataAccount }) => dataAccount.includes('Storage Queue Data Contributor'))
      .map(({ key }) => key)
    expect(off(looks)).toEqual(withEvents)
    expect(
      new Set(failed(looks).map(({ name, problem, fix }) => [name, problem, fix].join())),
    ).toEqual(
      new Set([
        'secrets,Storage Table Data Contributor is missing on the secrets account (RELAY_SECRETS),' +
          'az functionapp config appsettings set --name <app> --resource-group <group> --settings RELAY_SECRETS=<value>' +
          ' (on a laptop: in local.settings.json): its key or signature does not allow that',
      ]),
    )
    const problem = {
      code: 'storage-unreachable',
      title: 'The secrets account does not answer, or refuses the app',
      fix: expect.stringContaining('check RELAY_SECRETS'),
    }
    expect(body).toMatchObject({ sections: { changes: { problems: [problem] } } })
    expect([polled.status, (await stack.get('events')).body.events.length]).toEqual([200, 1])
    expect(subscribed).toMatchObject({
      status: 503,
      body: { detail: 'RELAY_SECRETS: 403' },
    })
    expect((await stack.get('subscriptions')).body.subscriptions).toEqual([])
  })

  test('that no identity is signed in to use is named as such, and the status is still answered', async () => {
    const uri = (service: string) => `https://contosodata.${service}.core.windows.net`
    useOverrides({
      env: {
        RELAY_STORAGE__tableServiceUri: uri('table'),
        RELAY_STORAGE__queueServiceUri: uri('queue'),
      },
      clock: stack.clock,
      credential: { getToken: () => Promise.reject(new CredentialUnavailableError('no identity')) },
    })

    const { looks, body } = await look()

    expect(failed(looks)[0]).toMatchObject({
      name: 'tables',
      fix: expect.stringContaining('az login'),
    })
    expect(body).toMatchObject({
      sections: { changes: { state: 'degraded' }, avHealth: { state: 'degraded' } },
    })
  })

  test('that is not set is named by its setting', async () => {
    stack.configure({ RELAY_STORAGE: '' })

    const { looks } = await look()

    expect(failed(looks)[0]).toMatchObject({
      problem: expect.stringContaining('RELAY_STORAGE__tableServiceUri is missing'),
      fix: expect.stringContaining('--settings RELAY_STORAGE__tableServiceUri=<value>'),
    })
  })
})

describe('the token', () => {
  test('for the wrong audience is named as such, and is not used for a call', async () => {
    stack.configure({ DEFENDER_AUDIENCE: 'https://api.security.microsoft.com' })
    const before = calls('/defender/api')

    const { looks } = await look()

    expect(off(looks)).toEqual(keys.filter((flow) => flow !== 'tenable-scans'))
    for (const { name, problem, fix } of failed(looks)) {
      expect(name).toBe('token')
      expect(problem).toContain('The token is for https://api.security.microsoft.com')
      expect(fix).toContain('--setting-names DEFENDER_AUDIENCE')
    }
    expect(calls('/defender/api')).toBe(before)
  })

  test('that is not issued is named as such', async () => {
    stack.simulator.setFaults({ tokenStatus: { answer: 500, calls: Number.POSITIVE_INFINITY } })
    const { looks } = await look()
    stack.simulator.setFaults({ tokenStatus: null })

    expect(new Set(failed(looks).map(({ name }) => name))).toEqual(new Set(['token']))
    expect(off(looks)).not.toContain('tenable-scans')
  })

  /** Signs in with these claims: the simulated Entra knows apps alone. */
  async function signIn(
    granted: { scp: string } | { roles: string[] },
    answer: RequestListener,
  ): Promise<void> {
    const env = { RELAY_STORAGE: stack.storage, DEFENDER_BASE_URL: await serve(answer) }
    const claims = {
      aud: 'https://api.securitycenter.microsoft.com',
      appid: 'client-1',
      oid: 'object-1',
      ...granted,
    }
    const token = `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.signature`
    const expiresOnTimestamp = stack.clock.now().getTime() + 3_600_000
    useOverrides({
      env,
      clock: stack.clock,
      credential: { getToken: async () => ({ token, expiresOnTimestamp }) },
    })
  }
  const json =
    (status: number, body: unknown): RequestListener =>
    (_request, response) => {
      response.writeHead(status, { 'content-type': 'application/json' })
      response.end(JSON.stringify(body))
    }

  test('of a user is checked by its delegated permissions, one of an app by its roles', async () => {
    await signIn(
      { scp: 'Machine.Read Vulnerability.Read' },
      json(200, { value: [], exportFiles: [] }),
    )

    const { looks } = await look()

    expect(off(looks)).toEqual(['investigations'])
    const [check] = failed(looks)
    expect(check?.problem).toMatch(/^Alert\.Read is missing .*View Data/)
    expect(check?.fix).toContain('az ad app permission grant --id client-1')
    expect(check?.fix).toMatch(/--scope Alert\.Read$/)
  })

  test('of a user whom Defender still refuses lacks the user right View Data', async () => {
    await signIn(
      { scp: 'Machine.Read' },
      json(403, { error: { code: 'Forbidden', message: 'no access' } }),
    )

    const { looks } = await look()

    const actions = looks.find(({ flow }) => flow === 'machine-actions')
    expect(actions?.checks.at(-1)).toMatchObject({ name: 'probe', ok: false })
    expect(actions?.checks.at(-1)?.problem).toContain('the user right View Data is missing')
    expect(actions?.checks.at(-1)?.fix).toContain('View Data')
  })

  test('with a role that is not enough asks for the one that the refusal names', async () => {
    const message =
      'The application does not have any of the required application permissions (Machine.ReadWrite.All).'
    await signIn(
      { roles: ['Machine.Read.All'] },
      json(403, { error: { code: 'Forbidden', message } }),
    )

    const { looks } = await look()

    const actions = looks.find(({ flow }) => flow === 'machine-actions')
    expect(actions?.checks.at(-1)?.problem).toMatch(/^Machine\.ReadWrite\.All is missing/)
    expect(actions?.checks.at(-1)?.fix).toBe(
      'sh bicep/grants/grant-roles.sh object-1 Machine.ReadWrite.All',
    )
  })
})

test('callers at the same time share one preflight', async () => {
  const before = calls('/api/machineactions')

  const all = await Promise.all([look(), look(), look()])

  expect(all.map(({ looks }) => off(looks))).toEqual([[], [], []])
  expect(calls('/api/machineactions') - before).toBeLessThan(3)
})

test('the export is called once an hour at most, however often preflight runs', async () => {
  stack.clock.advance(2 * 3_600_000)
  const before = calls('InfoGatheringExport')

  for (let times = 0; times < 3; times++) await look()
  const within = calls('InfoGatheringExport')
  stack.clock.advance(61 * 60_000)
  await look()

  expect(within - before).toBe(1)
  expect(calls('InfoGatheringExport') - before).toBe(2)
})

describe('a flow without its grant', () => {
  const poll = (name: string) => pollChanges(name, new InvocationContext({ logHandler: () => {} }))

  test('is called at each poll, once more with a new token, is a problem of its section, and runs again at the first poll that has it', async () => {
    grant(rolesToAskFor.filter((role) => role !== 'Alert.Read.All'))
    const before = calls('/api/investigations')

    for (let minute = 0; minute < 3; minute++) {
      await poll('investigations')
      await poll('machine-actions')
      stack.clock.advance(60_000)
    }
    const asked = calls('/api/investigations') - before
    const { body: degraded } = await stack.get('status')
    grant(rolesToAskFor)
    await poll('investigations')
    const { body: mended } = await stack.get('status')

    expect(asked).toBe(6)
    expect(degraded.sections.scanHistory).toEqual({ state: 'ok', problems: [] })
    expect(degraded.sections.avHealth).toEqual({ state: 'ok', problems: [] })
    const [first] = degraded.sections.changes.problems
    expect(first.title).toMatch(/^Defender refuses the app \(missing: Alert\.Read\.All or /)
    expect(first.consequences).toContain('investigations: no calls succeed')
    expect(first.fix).toContain('grant-roles.sh <object id of the identity> Alert.Read.All')
    expect(degraded.changes['machine-actions'].lastPoll.error).toBeNull()
    expect(mended.sections.changes).toEqual({ state: 'ok', problems: [] })
  })

  test.each([401, 403] as const)('is not assumed for a single %i', async (answer) => {
    await poll('investigations')
    const counts = [calls('/api/investigations')]
    await poll('investigations')
    counts.push(calls('/api/investigations'))
    stack.simulator.setFaults({ investigationsStatus: { answer, calls: 1 } })

    await poll('investigations')
    const { body } = await stack.get('status')

    const [before = 0, without = 0] = counts
    expect(calls('/api/investigations') - without).toBe(without - before + 1)
    expect(body.changes.investigations.lastPoll.error).toBeNull()
    expect(body.sections.changes).toEqual({ state: 'ok', problems: [] })
  })
})

async function serve(answer: RequestListener): Promise<string> {
  const server = createServer(answer)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
