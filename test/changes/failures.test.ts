import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { ForcedAnswer } from '../../local/simulator/faults.ts'
import { createTables } from '../../shared/platform/azure-table.ts'
import { bounds } from '../../shared/platform/body.ts'
import { limitByClock } from '../limits.ts'
import { noTimers, startTestStack, type TestStack, type TestStackOptions } from '../stack.ts'

let stack: TestStack
let nextId = 70

afterAll(() => stack.stop())

/** Starts everything without timers that poll, in place of what ran before. */
async function start(options: TestStackOptions = {}): Promise<void> {
  await stack?.stop()
  stack = await startTestStack({ fleet: { size: 3, files: 1 }, env: noTimers, ...options })
}

const check = (resource: string) => stack.post(`changes/${resource}/check`)
const statusOf = async () => (await stack.get('status')).body

const streams = () => createTables({ connectionString: stack.storage })('Streams')

/**
 * Asks for a poll, and waits until it has failed. Time moves only while the poll waits for time: on a slow machine, the
 * limits of its calls to storage would pass first.
 */
async function failingCheck(resource: string, lists = { running: 0 }) {
  const failure = async () => (await streams().get(resource, 'poll|failed'))?.etag
  const before = await failure()
  const checking = check(resource)
  while ((await failure()) === before) {
    await new Promise((resolve) => setTimeout(resolve, 5))
    if (lists.running > 0) {
      stack.clock.advance(20_000)
      // Its request waits no longer than this.
      await checking
    } else if (stack.sleeps.waits > 0) stack.clock.advance(1000)
  }
  return checking
}

/** All rows of a resource: head, items, events, the report of the last successful poll. */
async function stored(resource: string) {
  const rows = await Array.fromAsync(streams().list({ partitionKey: resource }))
  return rows.filter(({ rowKey }) => !rowKey.startsWith('poll|'))
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

  describe('for a while', () => {
    beforeAll(async () => {
      await start()
      await check(resource)
    })

    test.each(failures)(
      'with %s leaves items, events and cursor as they were, and is in the status',
      async (answer, error, state) => {
        const id = String(nextId++)
        store().put({ id, ...open })
        await check(resource)
        store().change(id, over)
        const before = await stored(resource)
        const { lastPoll: good } = (await statusOf()).changes[resource]
        const from = stack.lines.length
        const { timeoutMs } = bounds.defenderList
        const lists =
          answer === 'timeout' ? limitByClock(stack.clock, (ms) => ms === timeoutMs) : undefined
        const always = { answer, calls: Number.POSITIVE_INFINITY, retryAfterSeconds: 1 }
        stack.simulator.setFaults({ [fault]: always })

        const { status } = await failingCheck(resource, lists)
        const during = await statusOf()
        const after = await stored(resource)
        stack.simulator.setFaults({ [fault]: null })
        vi.restoreAllMocks()
        stack.clock.advance(60_000)
        const { body: fixed } = await check(resource)

        expect(after).toEqual(before)
        expect(status).toBeGreaterThan(200)
        expect(good.events).toBe(1)
        expect(during.changes[resource].lastPoll).toMatchObject({
          listed: null,
          events: null,
          error: expect.stringMatching(error),
        })
        expect(during.upstreams.defender.state).toBe(state)
        expect(during.sections.changes.state).toBe('degraded')
        // A poll that fails after its request was answered 202 has no log any more.
        const lines = stack.lines.slice(from).join('\n')
        expect(lines.includes(`poll failed {"resource":"${resource}"`)).toBe(answer !== 'timeout')
        expect(fixed.events).toBe(1)
        expect((await statusOf()).changes[resource].lastPoll.error).toBeNull()
      },
    )
  })

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
