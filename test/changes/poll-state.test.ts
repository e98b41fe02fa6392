import { beforeEach, describe, expect, test } from 'vitest'
import { poll } from '../../shared/changes/poll.ts'
import { type PollContext, reportChanges } from '../../shared/changes/poll-state.ts'
import { machineActions } from '../../shared/changes/resources/machine-actions.ts'
import { readItem } from '../../shared/changes/routes/items.ts'
import { UpstreamError } from '../../shared/platform/errors.ts'
import { createMemoryTable } from '../memory-table.ts'
import { action, createContext, createItemStore } from './item-store.ts'
import { createModelClock, type ModelClock } from './model.ts'

let clock: ModelClock
let store: ReturnType<typeof createItemStore>
let context: PollContext

/** A watch that has looked once, at an open item and at one in a state that nobody knows. */
beforeEach(async () => {
  clock = createModelClock()
  const table = createMemoryTable('Streams')
  await table.create()
  store = createItemStore(machineActions, clock)
  context = createContext({ table, clock, source: store.source })
  store.put(action('a', 'Pending', clock.now()))
  await poll(context)
  clock.advance(1)
  store.put(action('b', 'Paused', clock.now()))
  await poll(context)
  clock.advance(1)
})

const report = () => reportChanges(context, null)
const refusal = new UpstreamError({
  upstream: 'defender',
  call: 'GET list',
  reason: 'refused',
  retryable: false,
})

/** Lets every request to the upstream fail after a minute, until it is told to mend. */
function fail(): { mend(): void } {
  store.fail = () => {
    clock.advance(1)
    throw refusal
  }
  return {
    mend() {
      store.fail = () => {}
    },
  }
}

describe('the report of a watch', () => {
  test('tells the poll that ended last while another one runs', async () => {
    const before = await report()
    const during: unknown[] = []
    store.fail = (request) => {
      if (request === 'open') during.push(report())
    }

    await poll(context)

    expect(await Promise.all(during)).toEqual([before])
    expect(before).toMatchObject({
      lastPoll: { startedAt: '2026-03-01T00:01:00.000Z', listed: 2, events: 1, error: null },
      openItems: 2,
      oldestOpen: { id: 'a' },
      unknownStates: { Paused: 1 },
      detectionLagSeconds: 0,
    })
  })

  test('keeps what the last good poll brought after one that failed, whose times and error it tells', async () => {
    const before = await report()
    const checkedAt = (await readItem(context, 'a'))?.lastCheckedAt
    fail()

    await expect(poll(context)).rejects.toBe(refusal)

    const startedAt = '2026-03-01T00:02:00.000Z'
    const failed = { startedAt, endedAt: '2026-03-01T00:03:00.000Z', error: refusal.message }
    expect(await report()).toEqual({ ...before, lastPoll: { ...before.lastPoll, ...failed } })
    expect((await readItem(context, 'a'))?.lastCheckedAt).toBe(checkedAt)
  })

  test('tells an error while the next poll runs, until one ends well', async () => {
    const { mend } = fail()
    await expect(poll(context)).rejects.toBe(refusal)
    const failed = await report()
    mend()
    clock.advance(1)
    const during: unknown[] = []
    store.fail = (request) => {
      if (request === 'open') during.push(report())
    }

    await poll(context)

    expect(await Promise.all(during)).toEqual([failed])
    expect((await report()).lastPoll).toMatchObject({
      startedAt: '2026-03-01T00:04:00.000Z',
      error: null,
    })
  })

  test('tells the error of a first poll that failed, and nothing else', async () => {
    const table = createMemoryTable('Streams')
    await table.create()
    context = createContext({ table, clock, source: store.source })
    const before = await report()
    fail()

    await expect(poll(context)).rejects.toBe(refusal)

    expect(before).toMatchObject({ baselineDone: false, lastPoll: null, openItems: 0 })
    expect(await report()).toMatchObject({
      baselineDone: false,
      openItems: 0,
      oldestOpen: null,
      lastPoll: { endedAt: '2026-03-01T00:03:00.000Z', listed: 0, error: refusal.message },
    })
  })
})

test('a state that has the name of something in the language is a state like any other', async () => {
  store.put(action('c', 'constructor', clock.now()), action('d', '__proto__', clock.now()))

  await poll(context)

  const { unknownStates } = await report()
  expect(Object.entries(unknownStates)).toContainEqual(['constructor', 1])
})
