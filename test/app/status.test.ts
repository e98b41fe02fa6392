import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import type { FlowCheck } from '../../shared/app/flows.ts'
import { theApp } from '../../shared/app.ts'
import { silentStorage } from '../silent-storage.ts'
import { noTimers, startTestStack, type TestStack } from '../stack.ts'
import { freshStorage } from '../storage.ts'

let stack: TestStack

beforeAll(async () => {
  stack = await startTestStack({
    fleet: { size: 40, files: 2, badLines: 0 },
    env: {
      ...noTimers,
    },
  })
})
beforeEach(() => stack.configure())
afterAll(() => stack.stop())

const health = async () => {
  const answer = await fetch(`${stack.host.url}/api/health`)
  return { status: answer.status, body: await answer.json() }
}

describe('health', () => {
  test('is answered without a key and without detail', async () => {
    expect(await health()).toEqual({ status: 200, body: { status: 'ok' } })
  })

  test.each([
    ['nothing is set up', { RELAY_STORAGE: '' }],
    ['the settings of every section are wrong', { DEFENDER_CLOUD: 'moon', TENABLE_SECRET_KEY: '' }],
    [
      'the storage is a reference that was not resolved',
      { RELAY_STORAGE: '@Microsoft.KeyVault(SecretUri=x)' },
    ],
  ])('is 503 when %s', async (_case, env) => {
    stack.configure(env)

    expect(await health()).toEqual({ status: 503, body: { status: 'unconfigured' } })
  })

  test('reads only settings: an account that does not answer delays nothing', async () => {
    const silent = createServer(() => {})
    silent.listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const endpoint = `TableEndpoint=http://127.0.0.1:${(silent.address() as AddressInfo).port}/silent`
    stack.configure({ RELAY_STORAGE: stack.storage.replace(/TableEndpoint=[^;]+/, endpoint) })

    const answer = await health()

    expect(answer).toEqual({ status: 200, body: { status: 'ok' } })
    silent.close()
    silent.closeAllConnections()
  })
})

test('a wrong cloud of Defender stops only its flows: Tenable, events and storage work', async () => {
  stack.configure({ DEFENDER_CLOUD: 'moon' })

  const { body } = await stack.get('status?preflight=true')
  const health = await fetch(`${stack.host.url}/api/health`)
  const answers = [
    await stack.get('scan-history/tenable/scans/117'),
    await stack.get('events'),
    await stack.post('subscriptions', { callbackUrl: stack.simulator.receiver('hook').url }),
    await stack.post('changes/investigations/check'),
    await stack.get('av-health/exports'),
  ]

  expect(answers.map(({ status }) => status)).toEqual([200, 200, 201, 503, 503])
  expect(health.status).toBe(200)
  // The housekeeping asks it before it drops old events.
  expect((await theApp().events()).retentionDays()).toBe(30)
  expect(body.overall).toBe('degraded')
  expect(body.sections).toMatchObject({
    changes: { state: 'unconfigured' },
    scanHistory: { state: 'degraded' },
    avHealth: { state: 'unconfigured' },
  })
  expect(body.upstreams).toMatchObject({ defender: null, tenable: { state: 'ok' } })
  expect(body.events).toHaveProperty('investigations')
  expect(body.deliveries).toMatchObject({ pending: 0 })
  const looks: FlowCheck[] = body.preflight
  expect(looks.filter(({ state }) => state === 'ready').map(({ flow }) => flow)).toEqual([
    'tenable-scans',
  ])
  expect(looks.flatMap(({ checks }) => checks.filter(({ ok }) => !ok))).toEqual(
    Array(5).fill(
      expect.objectContaining({
        name: 'settings',
        problem: expect.stringMatching(/^DEFENDER_CLOUD/),
      }),
    ),
  )
})

describe('status', () => {
  test('shows what is running, what is published and when the next run begins', async () => {
    const { body: started } = await stack.post('av-health/exports')
    const run = await stack.runToEnd(started.runId)
    stack.clock.advance(60_000)
    stack.configure({ AV_HEALTH_SCHEDULE: '0 0 0 1 1 *' })

    const { status, body } = await stack.get('status')
    stack.configure()

    expect(status).toBe(200)
    expect(body.sections.avHealth).toEqual({ state: 'ok', problems: [] })
    expect(body.avHealth).toMatchObject({
      current: { runId: run.runId, generatedTime: run.generatedTime, devices: 40 },
      lastRun: { runId: run.runId, state: 'published', endedAt: run.endedAt },
      nextRunAt: `${stack.clock.now().getUTCFullYear() + 1}-01-01T00:00:00.000Z`,
    })
    // The clock runs on between the two.
    const ageSeconds = (Date.parse(body.time) - Date.parse(run.generatedTime)) / 1000
    expect(body.avHealth.current.ageSeconds - ageSeconds).toBeGreaterThan(-1)
    expect(body.avHealth.current.ageSeconds - ageSeconds).toBeLessThan(600)
  })

  test.each([
    [{ RELAY_STORAGE: '' }, 'RELAY_STORAGE__tableServiceUri', ''],
    [{ AV_HEALTH_BUCKETS: '17-secret' }, 'AV_HEALTH_BUCKETS', '17-secret'],
    [{ AV_HEALTH_SCHEDULE: 'every-secret-day' }, 'AV_HEALTH_SCHEDULE', 'every-secret-day'],
    [{ DEFENDER_CLOUD: 'secret-moon' }, 'DEFENDER_CLOUD', 'secret-moon'],
    [
      { RELAY_STORAGE: '@Microsoft.KeyVault(SecretUri=https://secret)' },
      'RELAY_STORAGE',
      'https://secret',
    ],
  ])('is 200 with %o, names the setting and not its value', async (env, setting, value) => {
    stack.configure(env)

    const { status, body } = await stack.get('status')

    expect(status).toBe(200)
    expect(body.sections.avHealth.state).toBe('unconfigured')
    expect(body.sections.avHealth.problems[0].title).toContain(setting)
    if (value) expect(JSON.stringify(body)).not.toContain(value)
  })

  test('names every wrong setting of a section at once', async () => {
    stack.configure({
      AV_HEALTH_BUCKETS: '3',
      AV_HEALTH_METHOD: 'carrier pigeon',
      AV_HEALTH_LINK_HOURS: '24',
    })

    const { body } = await stack.get('status')

    const named = body.sections.avHealth.problems.map(
      ({ title }: { title: string }) => title.split(' ')[0],
    )
    expect(named.sort()).toEqual(['AV_HEALTH_BUCKETS', 'AV_HEALTH_LINK_HOURS', 'AV_HEALTH_METHOD'])
  })
})

describe('a data account that does not answer', () => {
  /** Ends the time that status has as soon as the account got requests. */
  function endStatusWhen(isTime: () => boolean) {
    const real = AbortSignal.timeout.bind(AbortSignal)
    const spy = vi.spyOn(AbortSignal, 'timeout').mockImplementation((ms) => {
      if (ms !== 8000) return real(ms)
      const limit = new AbortController()
      const timer = setInterval(() => {
        if (!isTime()) return
        clearInterval(timer)
        limit.abort()
      }, 5)
      return limit.signal
    })
    onTestFinished(() => spy.mockRestore())
  }

  test('is one problem that names what was not read; afterwards the hole is visible', async () => {
    const storage = await silentStorage(stack.storage)
    storage.isSilent = false
    const eachMinute = '0 * * * * *'
    const [queues = ''] = /QueueEndpoint=[^;]+/.exec(stack.storage) ?? []
    stack.configure({
      // Queues are opened once, before.
      RELAY_STORAGE: storage.connectionString.replace(/QueueEndpoint=[^;]+/, queues),
      MACHINE_ACTIONS_SCHEDULE: eachMinute,
      INVESTIGATIONS_SCHEDULE: eachMinute,
    })
    const poll = () => stack.post('changes/machine-actions/check')
    await poll()
    const { body: before } = await stack.get('status')

    storage.isSilent = true
    const asked = storage.unanswered
    endStatusWhen(() => storage.isSilent && storage.unanswered > asked)
    const { status, body: during } = await stack.get('status')
    stack.clock.advance(20 * 60_000)
    storage.isSilent = false
    await poll()
    const { body: after } = await stack.get('status')

    expect(before.problems).toEqual([])
    expect(status).toBe(200)
    const [problem, ...others] = during.problems
    expect(others).toEqual([])
    expect(problem).toMatchObject({
      code: 'storage-unreachable',
      severity: 'error',
      cause: 'RELAY_STORAGE: no answer within 8 s',
      consequences: expect.arrayContaining(['polls: not read', 'antivirus health: not read']),
    })
    expect(during.overall).toBe('degraded')
    for (const section of Object.values(during.sections))
      expect(section).toEqual({ state: expect.any(String), problems: [problem] })
    const hole = after.notices.find(({ code }: { code: string }) => code === 'poll-gap')
    const { since, until } = after.changes['machine-actions'].gap
    expect(hole).toMatchObject({ since, title: expect.stringContaining(until) })
    expect(Date.parse(until) - Date.parse(since)).toBeGreaterThanOrEqual(20 * 60_000)
  })
})

test('a wrong setting is one problem, with all that is off', async () => {
  stack.configure({ DEFENDER_CLOUD: 'moon' })

  const { body } = await stack.get('status')

  expect(body.problems).toMatchObject([
    {
      code: 'setting-wrong',
      title: expect.stringMatching(/^DEFENDER_CLOUD is wrong: expected one of /),
      consequences: ['calls to Defender: off', 'polls: off', 'antivirus health: off'],
    },
  ])
})

test('an app that has never polled or exported says so, though its timers are not the ones that notice', async () => {
  const fresh = { RELAY_STORAGE: await freshStorage(), MACHINE_ACTIONS_SCHEDULE: '0 * * * * *' }
  stack.configure({ ...fresh, AV_HEALTH_SCHEDULE: '0 15 */12 * * *' })
  const { body: first } = await stack.get('status')
  stack.clock.advance(10 * 24 * 3_600_000)

  const { body } = await stack.get('status')

  const codes = (list: { code: string }[]) => list.map(({ code }) => code)
  expect([first.overall, codes(first.notices)]).toEqual(['ok', ['not-polled-yet']])
  expect(body.overall).toBe('degraded')
  expect(codes(body.problems)).toEqual(['polls-stopped', 'runs-stopped'])
  expect(body.problems[0].since).toBe(first.time)
  expect(body.problems[1].consequences).toEqual(['No snapshot was ever published'])
})

describe('a route of a section that is not set up', () => {
  test('is 503 and says what to set, but a wrong request is 400 first', async () => {
    stack.configure({ AV_HEALTH_METHOD: 'carrier pigeon' })

    const start = await stack.post('av-health/exports')
    const list = await stack.get('av-health/exports')
    const wrong = await stack.get('av-health/exports?limit=0')

    expect(start).toMatchObject({
      status: 503,
      body: { type: 'urn:defender-relay:not-configured' },
    })
    expect(start.body.detail).toContain('AV_HEALTH_METHOD')
    expect(JSON.stringify(start.body)).not.toContain('pigeon')
    expect(list.status).toBe(503)
    expect(wrong.status).toBe(400)
  })

  test('works as soon as the setting is fixed', async () => {
    stack.configure({ RELAY_STORAGE: '' })
    const before = await stack.get('av-health/exports')

    stack.configure()

    expect(before.status).toBe(503)
    expect((await stack.get('av-health/exports')).status).toBe(200)
  })
})
