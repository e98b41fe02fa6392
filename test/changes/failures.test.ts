import { afterEach, describe, expect, test, vi } from 'vitest'
import type { ForcedAnswer } from '../../local/simulator/faults.ts'
import { createTables } from '../../shared/platform/azure-table.ts'
import { startTestStack, type TestStack, type TestStackOptions } from '../stack.ts'

let stack: TestStack

afterEach(() => stack.stop())

/** Starts everything without timers that poll. */
async function start(options: TestStackOptions = {}): Promise<void> {
  const never = '0 0 0 29 2 *'
  const env = { MACHINE_ACTIONS_SCHEDULE: never, INVESTIGATIONS_SCHEDULE: never }
  stack = await startTestStack({ fleet: { size: 3, files: 1 }, env, ...options })
}

const check = (resource: string) => stack.post(`changes/${resource}/check`)
const statusOf = async () => (await stack.get('status')).body

/** Lets time pass until a condition is true. */
async function until(isTrue: () => Promise<boolean>, stepMs: number): Promise<void> {
  while (!(await isTrue())) {
    await new Promise((resolve) => setTimeout(resolve, 5))
    stack.clock.advance(stepMs)
  }
}

/** All rows of a resource: head, items, events, the report of the last successful poll. */
async function stored(resource: string) {
  const rows = createTables({ connectionString: stack.storage })('Streams').list({
    partitionKey: resource,
  })
  return (await Array.fromAsync(rows)).filter(({ rowKey }) => !rowKey.startsWith('poll|'))
}

/** Lets the time limits of calls follow the test's clock. */
function limitByClock(): void {
  vi.spyOn(AbortSignal, 'timeout').mockImplementation((ms) => {
    const limit = new AbortController()
    void stack.clock.sleep(ms).then(() => limit.abort(new DOMException('too late', 'TimeoutError')))
    return limit.signal
  })
}

/** For each resource: its store, its fault, the states of an item, and the role. */
const watched = {
  'machine-actions': {
    store: () => stack.simulator.actions,
    fault: 'machineActionsStatus',
    open: { status: 'Pending' },
    over: { status: 'Succeeded' },
    role: 'Machine.Read.All',
  },
  investigations: {
    store: () => stack.simulator.investigations,
    fault: 'investigationsStatus',
    open: { state: 'Running' },
    over: { state: 'Benign' },
    role: 'Alert.Read.All',
  },
} as const

/** Each failure with the poll's error and the state of the upstream. */
const failures: [ForcedAnswer['answer'], error: RegExp, upstream: string][] = [
  [401, /: 401 Unauthorized$/, 'forbidden'],
  [403, /: 403 Forbidden$/, 'forbidden'],
  [404, /: 404 ResourceNotFound$/, 'gone'],
  [429, /: 429 429$/, 'throttled'],
  [500, /: 500 InternalServerError$/, 'unreachable'],
  ['html', /: 502$/, 'unreachable'],
  ['html-200', /: not JSON: \d+ characters, text\/html$/, 'ok'],
  ['broken-json', /: not JSON: \d+ characters, application\/json$/, 'ok'],
  ['truncated', /: truncated$/, 'unreachable'],
  ['timeout', /: timeout$/, 'unreachable'],
  ['reset', /: network/, 'unreachable'],
]

describe.each(Object.entries(watched))('the list of %s failing', (resource, kind) => {
  const { store, open, over, fault, role } = kind

  test.each(failures)(
    'with %s leaves items, events and cursor as they were, and is in the status',
    async (answer, error, state) => {
      await start()
      await check(resource)
      store().put({ id: '77', ...open })
      await check(resource)
      store().change('77', over)
      const before = await stored(resource)
      if (answer === 'timeout') limitByClock()
      const always = { answer, calls: Number.POSITIVE_INFINITY, retryAfterSeconds: 1 }
      stack.simulator.setFaults({ [fault]: always })

      const checking = check(resource)
      await until(
        async () => (await statusOf()).changes[resource].lastPoll.error !== null,
        answer === 'timeout' ? 20_000 : 1000,
      )
      const during = await statusOf()
      const after = await stored(resource)
      stack.simulator.setFaults({ [fault]: null })
      stack.clock.advance(60_000)
      const { body: fixed } = await check(resource)

      expect(after).toEqual(before)
      expect((await checking).status).toBeGreaterThan(200)
      expect(during.changes[resource].lastPoll).toMatchObject({
        listed: 1,
        events: 1,
        error: expect.stringMatching(error),
      })
      expect(during.upstreams.defender.state).toBe(state)
      expect(during.sections.changes.state).toBe('degraded')
      // A poll that fails after its request was answered 202 has no log any more.
      const isLogged = stack.lines.join('\n').includes(`poll failed {"resource":"${resource}"`)
      expect(isLogged).toBe(answer !== 'timeout')
      expect(fixed.events).toBe(1)
      expect((await statusOf()).changes[resource].lastPoll.error).toBeNull()
    },
  )

  test('without a grant names the grant in log and status', async () => {
    await start({ token: { roles: ['Vulnerability.Read.All'] } })

    const { status } = await check(resource)
    const { upstreams, sections } = await statusOf()

    expect(status).toBe(502)
    expect(upstreams.defender.lastError).toMatchObject({
      status: 403,
      missing: expect.arrayContaining([role]),
    })
    const titles = sections.changes.problems.map(({ title }: { title: string }) => title).join('\n')
    expect(titles).toContain(`(missing: ${role} or `)
    expect(
      stack.lines.find((recordPoll) =>
        recordPoll.includes(`poll failed {"resource":"${resource}"`),
      ),
    ).toContain(role)
    expect((await stored(resource)).map(({ rowKey }) => rowKey)).toEqual(['head'])
  })
})
