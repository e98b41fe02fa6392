import { beforeEach, expect, test } from 'vitest'
import { poll } from '../../../shared/changes/poll.ts'
import type { PollContext } from '../../../shared/changes/poll-state.ts'
import { machineActions } from '../../../shared/changes/resources/machine-actions.ts'
import { checkNow } from '../../../shared/changes/routes/check.ts'
import { UpstreamError } from '../../../shared/platform/errors.ts'
import { createMemoryTable } from '../../memory-table.ts'
import { createStillClock, type StillClock } from '../../platform/still-clock.ts'
import { createContext, createItemStore } from '../item-store.ts'

const SECOND = 1000

let clock: StillClock
let store: ReturnType<typeof createItemStore>
let context: PollContext
let told: number

beforeEach(async () => {
  clock = createStillClock()
  const table = createMemoryTable('Streams')
  await table.create()
  store = createItemStore(machineActions, clock)
  context = createContext({ table, clock, source: store.source })
  told = 0
})

const check = () =>
  checkNow(context, clock.now().toISOString(), 20 * SECOND, async () => {
    told += 1
  })
const secondsOf = (time: string | undefined) => Date.parse(time ?? '') / SECOND

/** A poll by another process, whose lists take so many seconds. */
function pollSlowly(seconds: number): Promise<unknown> {
  const source: PollContext['source'] = {
    ...store.source,
    async *list(wanted) {
      if ('openNow' in wanted) await clock.sleep(seconds * SECOND)
      yield* store.source.list(wanted)
    },
  }
  return poll({ ...context, source, memory: {} })
}

test('a check polls at once when nobody else does, and hands out what it finds', async () => {
  const report = await check()

  expect(secondsOf(report?.startedAt)).toBe(0)
  expect(told).toBe(1)
})

test('a check waits until the poll of somebody else has ended, and then polls itself', async () => {
  const other = pollSlowly(5)
  await clock.advance(SECOND)

  const checking = check()
  await clock.advance(10 * SECOND)
  await other

  expect(secondsOf((await checking)?.startedAt)).toBe(5.5)
})

test('two who wait for the same poll share the next one', async () => {
  const other = pollSlowly(5)
  await clock.advance(SECOND)
  const one = check()
  await clock.advance(100)
  const two = check()
  store.requests = []

  await clock.advance(10 * SECOND)
  await other

  expect(secondsOf((await one)?.startedAt)).toBe(5.1)
  expect(await two).toEqual(await one)
  expect(store.requests).toHaveLength(3)
})

test('a check does not wait for a poll that failed', async () => {
  const refusal = new UpstreamError({
    upstream: 'defender',
    call: 'GET list',
    reason: 'refused',
    retryable: false,
  })
  store.fail = () => {
    throw refusal
  }
  await expect(poll(context)).rejects.toBe(refusal)
  store.fail = () => {}
  await clock.advance(SECOND)

  expect(secondsOf((await check())?.startedAt)).toBe(1)
})

test('a check does not wait for a poll that has been silent for two minutes', async () => {
  void pollSlowly(1000)
  await clock.advance(120 * SECOND)

  expect(secondsOf((await check())?.startedAt)).toBe(120)
})

test('whoever checks hears after 20 seconds that it takes longer, and what is found is handed out all the same', async () => {
  const { source } = context
  context.source = {
    ...source,
    async *list(wanted) {
      if ('openNow' in wanted) await clock.sleep(60 * SECOND)
      yield* source.list(wanted)
    },
  }

  const checking = check()
  await clock.advance(20 * SECOND)
  const toldBefore = told
  await clock.advance(60 * SECOND)

  expect(await checking).toBeUndefined()
  expect([toldBefore, told]).toEqual([0, 1])
})

test('those who check at the very same moment share one poll', async () => {
  const reports = await Promise.all([check(), check(), check()])

  expect(new Set(reports).size).toBe(1)
  expect(told).toBe(1)
  expect(store.requests).toHaveLength(2)
})

test('what nobody expected of a poll reaches the log, also when whoever checked has had an answer', async () => {
  const lines: unknown[] = []
  context.log = { ...context.log, error: (message, facts) => void lines.push([message, facts]) }
  const checking = checkNow(context, clock.now().toISOString(), 20 * SECOND, async () => {
    await clock.sleep(30 * SECOND)
    throw new Error('the queue is away')
  })

  await clock.advance(60 * SECOND)

  expect(await checking).toBeUndefined()
  expect(lines).toEqual([
    ['poll failed', { resource: 'machine-actions', reason: 'Error: the queue is away' }],
  ])
})
