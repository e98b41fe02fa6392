import { beforeEach, describe, expect, test } from 'vitest'
import { poll } from '../../shared/changes/poll.ts'
import { type PollContext, reportChanges } from '../../shared/changes/poll-state.ts'
import { machineActions } from '../../shared/changes/resources/machine-actions.ts'
import { readItem } from '../../shared/changes/routes/items.ts'
import { createTables } from '../../shared/platform/azure-table.ts'
import { bounds } from '../../shared/platform/body.ts'
import { UpstreamError } from '../../shared/platform/errors.ts'
import { createMemoryTable } from '../memory-table.ts'
import { createStillClock } from '../platform/still-clock.ts'
import { limitBy, silentStorage } from '../silent-storage.ts'
import { freshStorage } from '../storage.ts'
import { action, createContext, createItemStore } from './item-store.ts'
import { createModelClock, type ModelClock } from './model.ts'

let clock: ModelClock
let store: ReturnType<typeof createItemStore>
let context: PollContext

/** A context that has polled twice: an open item and one in an unknown state. */
beforeEach(async () => {
  clock = createModelClock()
  const table = createMemoryTable('Streams', clock)
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
const refused = new UpstreamError({
  upstream: 'defender',
  call: 'GET list',
  reason: 'refused',
  retryable: false,
})

/** Lets every upstream request fail after a minute, until `fix` is called. */
function fail(): { fix(): void } {
  store.fail = () => {
    clock.advance(1)
    throw refused
  }
  return {
    fix() {
      store.fail = () => {}
    },
  }
}

describe('the status of a resource', () => {
  test('shows the poll that ended last while another one runs', async () => {
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

  test('a failed poll has counted nothing, and the open items are those of the last successful one', async () => {
    const before = await report()
    const checkedAt = (await readItem(context, 'a'))?.lastCheckedAt
    fail()

    await expect(poll(context)).rejects.toBe(refused)

    const startedAt = '2026-03-01T00:02:00.000Z'
    const failed = { startedAt, endedAt: '2026-03-01T00:03:00.000Z', error: refused.message }
    expect(await report()).toEqual({
      ...before,
      lastPoll: {
        ...failed,
        listed: null,
        rechecked: null,
        events: null,
        unreadable: null,
        outside: null,
        badTimes: null,
        missing: null,
      },
      lastFailure: failed,
    })
    expect((await readItem(context, 'a'))?.lastCheckedAt).toBe(checkedAt)
  })

  test('shows an error while the next poll runs, until one succeeds', async () => {
    const { fix } = fail()
    await expect(poll(context)).rejects.toBe(refused)
    const failed = await report()
    fix()
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

  test('shows the next good poll after a failed one of an instance whose clock is a day ahead', async () => {
    const failing = fail()
    const ahead = { ...clock, now: () => new Date(clock.now().getTime() + 24 * 3_600_000) }
    await expect(poll({ ...context, clock: ahead })).rejects.toThrow()
    const failed = await report()
    failing.fix()
    clock.advance(1)

    await poll(context)

    expect([failed.lastPoll?.error, (await report()).lastPoll?.error]).toEqual([
      refused.message,
      null,
    ])
  })

  test('shows the error of a first poll that failed, and nothing else', async () => {
    const table = createMemoryTable('Streams', clock)
    await table.create()
    context = createContext({ table, clock, source: store.source })
    const before = await report()
    fail()

    await expect(poll(context)).rejects.toBe(refused)

    expect(before).toMatchObject({ baselineDone: false, lastPoll: null, openItems: null })
    expect(await report()).toMatchObject({
      baselineDone: false,
      openItems: null,
      oldestOpen: null,
      lastPoll: { endedAt: '2026-03-01T00:03:00.000Z', listed: null, error: refused.message },
    })
  })
})

describe('a failed poll is recorded with its reason', () => {
  test('whatever the error is', async () => {
    const lines: unknown[] = []
    context.log.error = (message, facts) => void lines.push([message, facts])
    const error = new RangeError('Maximum call stack size exceeded')
    store.fail = () => {
      throw error
    }

    await expect(poll(context)).rejects.toBe(error)

    const reason = 'RangeError: Maximum call stack size exceeded'
    expect(await report()).toMatchObject({ lastPoll: { error: reason } })
    expect(lines).toEqual([
      ['poll failed', expect.objectContaining({ resource: 'machine-actions', reason })],
    ])
  })

  test('as soon as storage answers again, as one hole that stays visible after a good poll', async () => {
    const storage = await silentStorage(await freshStorage())
    storage.isSilent = false
    const still = createStillClock()
    const { connectionString } = storage
    const table = createTables(
      { connectionString },
      { limit: limitBy(still), dateOf: () => clock.now() },
    )('Streams')
    await table.create()
    context = createContext({ table, clock, source: store.source })
    await poll(context)
    storage.isSilent = true
    /** The time limits of two calls: of the poll, and of the record of its failure. */
    const failSilently = async () => {
      clock.advance(1)
      const polling = poll(context).catch((error: unknown) => error)
      for (const before of [storage.unanswered, storage.unanswered + 1]) {
        while (storage.unanswered === before) await new Promise((go) => setTimeout(go, 5))
        await still.advance(bounds.storage.timeoutMs)
      }
      return polling
    }

    const errors = [await failSilently(), await failSilently()]
    storage.isSilent = false
    const before = await report()
    clock.advance(1)
    await poll(context)

    expect(errors).toMatchObject([{ code: 'StorageTimeout' }, { code: 'StorageTimeout' }])
    expect(before).toMatchObject({ lastPoll: { error: null }, lastFailure: null })
    expect(await report()).toMatchObject({
      lastPoll: { startedAt: '2026-03-01T00:05:00.000Z', error: null },
      lastFailure: {
        startedAt: '2026-03-01T00:03:00.000Z',
        endedAt: '2026-03-01T00:04:00.000Z',
        error: 'RestError: the storage account gave no answer within 30 s: table Streams',
      },
    })
  })
})

test('a state with the name of a built-in property is counted like any other', async () => {
  store.put(action('c', 'constructor', clock.now()), action('d', '__proto__', clock.now()))

  await poll(context)

  const { unknownStates } = await report()
  expect(Object.entries(unknownStates)).toContainEqual(['constructor', 1])
})
