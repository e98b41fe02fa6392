import { beforeEach, expect, test } from 'vitest'
import { poll } from '../../../shared/changes/poll.ts'
import { type PollContext, reportChanges } from '../../../shared/changes/poll-state.ts'
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
let dispatched: number

beforeEach(async () => {
  clock = createStillClock()
  const table = createMemoryTable('Streams', clock)
  await table.create()
  store = createItemStore(machineActions, clock)
  context = createContext({ table, clock, source: store.source })
  dispatched = 0
})

const check = () =>
  checkNow(context, { since: clock.now().toISOString(), now: clock.now }, 20 * SECOND, async () => {
    dispatched += 1
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

test('a check polls at once if no other poll runs, and dispatches what it finds', async () => {
  const report = await check()

  expect(secondsOf(report?.startedAt)).toBe(0)
  expect(dispatched).toBe(1)
})

test('a check waits for the end of another poll, and then polls itself', async () => {
  const other = pollSlowly(5)
  await clock.advance(SECOND)

  const checking = check()
  await clock.advance(10 * SECOND)
  await other

  expect(secondsOf((await checking)?.startedAt)).toBe(5.5)
})

test('two checks that wait for the same poll share the next one', async () => {
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
  const refused = new UpstreamError({
    upstream: 'defender',
    call: 'GET list',
    reason: 'refused',
    retryable: false,
  })
  store.fail = () => {
    throw refused
  }
  await expect(poll(context)).rejects.toBe(refused)
  store.fail = () => {}
  await clock.advance(SECOND)

  expect(secondsOf((await check())?.startedAt)).toBe(1)
})

test('a check does not wait for a poll that started two minutes ago', async () => {
  void pollSlowly(1000)
  await clock.advance(120 * SECOND)

  expect(secondsOf((await check())?.startedAt)).toBe(120)
})

test('a check that takes longer returns after 20 seconds, and what is found is still dispatched', async () => {
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
  const dispatchedBefore = dispatched
  await clock.advance(60 * SECOND)

  expect(await checking).toBeUndefined()
  expect([dispatchedBefore, dispatched]).toEqual([0, 1])
})

test('checks at the same time share one poll', async () => {
  const reports = await Promise.all([check(), check(), check()])

  expect(new Set(reports).size).toBe(1)
  expect(dispatched).toBe(1)
  expect(store.requests).toHaveLength(2)
})

test('a poll that fails with an unexpected error is logged and recorded once', async () => {
  const lines: unknown[] = []
  context.log = { ...context.log, error: (message, facts) => void lines.push([message, facts]) }
  store.fail = () => {
    throw new RangeError('Maximum call stack size exceeded')
  }

  await expect(check()).rejects.toThrow(RangeError)

  const reason = 'RangeError: Maximum call stack size exceeded'
  expect(lines).toMatchObject([['poll failed', { resource: 'machine-actions', reason }]])
  expect((await reportChanges(context, null)).lastPoll?.error).toBe(reason)
})
