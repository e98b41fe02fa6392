import { beforeEach, describe, expect, test } from 'vitest'
import { poll } from '../../shared/changes/poll.ts'
import { type PollContext, readPollState } from '../../shared/changes/poll-state.ts'
import { investigations } from '../../shared/changes/resources/investigations.ts'
import { machineActions } from '../../shared/changes/resources/machine-actions.ts'
import { createFeed } from '../../shared/events/feed/feed.ts'
import type { Table } from '../../shared/platform/table.ts'
import { kinds, openFeed } from '../events/feed-on.ts'
import { createMemoryTable } from '../memory-table.ts'
import { action, createContext, createItemStore, investigation } from './item-store.ts'
import { createModelClock, type ModelClock } from './model.ts'

const stream = machineActions.name
const HOUR = 60
const DAY = 24 * HOUR

let clock: ModelClock
let table: Table
let store: ReturnType<typeof createItemStore>

beforeEach(async () => {
  clock = createModelClock()
  table = createMemoryTable('Streams', clock)
  await table.create()
  store = createItemStore(machineActions, clock)
})

const open = (more: Partial<PollContext> = {}) =>
  createContext({ table, clock, source: store.source }, more)
const emitted = async () =>
  (await createFeed(table).events(stream, 0, 100_000)).map(({ type, subject, data }) =>
    [subject, type.split('.').at(-1), data.from ?? '-', '>', data.to ?? data.reason].join(' '),
  )
const pollState = async () => readPollState(await createFeed(table).head(stream))
/** Lets days pass until a newer item has moved the lists on: they no longer return the older items. */
async function moveOn(context: PollContext, days: number): Promise<void> {
  clock.advance(days * DAY)
  store.put(action('newer', 'Failed', clock.now()))
  await poll(context)
}
/** All rows except the records of polls that started or failed. */
const stored = async () =>
  (await Array.fromAsync(table.list({}))).filter(({ rowKey }) => !rowKey.startsWith('poll|'))

describe('the first poll', () => {
  test('it lists four days and all open items, and emits nothing', async () => {
    const now = clock.now()
    store.put(action('a', 'Pending', now), action('b', 'Failed', now))

    const { report } = await poll(open())

    expect(store.requests).toEqual(['created since 2026-02-25T00:00:00.000Z', 'open'])
    expect(report).toMatchObject({ listed: 2, events: 0, openItems: 1 })
    expect(await emitted()).toEqual([])
    expect(await pollState()).toMatchObject({ baselineDone: true, cursor: now.toISOString() })
  })

  test('with the baseline wanted, it emits what it finds', async () => {
    store.put(action('a', 'Pending', clock.now()))

    await poll(open({ emitBaseline: true }))

    expect(await emitted()).toEqual(['a appeared - > Pending'])
  })

  test('an item that was over long before has no event later either, although an older one is still open', async () => {
    const daysAgo = (days: number) => new Date(clock.now().getTime() - days * DAY * 60_000)
    store.put(action('open', 'Pending', daysAgo(20)), action('over', 'Failed', daysAgo(10)))
    await poll(open())

    for (const minutes of [1, HOUR, DAY, 6 * DAY]) {
      clock.advance(minutes)
      await poll(open())
    }

    expect((await emitted()).filter((text) => text.startsWith('over'))).toEqual([])
  })

  test('after it found nothing, nothing is lost if there is no poll for a week', async () => {
    await poll(open())
    store.put(action('a', 'Succeeded', new Date(clock.now().getTime() + 60_000)))
    clock.advance(7 * DAY)

    await poll(open())

    expect(await emitted()).toEqual(['a appeared - > Succeeded'])
  })
})

describe('the cursor', () => {
  test('it is the newest creation time as the service wrote it', async () => {
    store.put(
      action('a', 'Failed', '2026-02-28T23:59:59.1234567Z'),
      action('b', 'Failed', '2026-02-28T23:59:59.12Z'),
    )

    await poll(open())

    expect((await pollState()).cursor).toBe('2026-02-28T23:59:59.1234567Z')
  })

  test('the next list begins an hour before it, independent of our clock', async () => {
    store.put(action('a', 'Failed', '2026-02-28T12:00:00.1234567Z'))
    await poll(open())
    store.requests = []
    clock.advance(1)

    await poll(open())

    expect(store.requests[0]).toBe('created since 2026-02-28T11:00:00.123Z')
  })

  test('it is never later than the date of the answer', async () => {
    store.put(
      action('a', 'Failed', '2026-02-28T12:00:00Z'),
      action('b', 'Pending', '2026-03-01T00:00:00.5Z'),
    )
    store.date = () => new Date('2026-03-01T00:00:00Z')

    await poll(open())

    expect((await pollState()).cursor).toBe('2026-02-28T12:00:00Z')
  })

  test('an answer without a date does not move it, and its items still have their events', async () => {
    await poll(open())
    store.put(action('a', 'Failed', clock.now()))
    store.date = () => undefined

    await poll(open())

    expect((await pollState()).cursor).toBeNull()
    expect(await emitted()).toEqual(['a appeared - > Failed'])
  })

  test('it never goes back, and never forward by our clock', async () => {
    store.put(action('a', 'Failed', '2026-02-28T12:00:00Z'))
    await poll(open())
    store.rows.clear()
    clock.advance(2 * DAY)

    await poll(open())

    expect((await pollState()).cursor).toBe('2026-02-28T12:00:00Z')
  })
})

describe('failures', () => {
  test.each([
    ['the list of created items', /^created/],
    ['the list of open items', /^open$/],
    ['the request for one item', /^lone$/],
  ])(
    'when %s fails, items, events and cursor stay exactly as they were',
    async (_what, failing) => {
      store.put(action('lone', 'Paused', clock.now()), action('a', 'Pending', clock.now()))
      const context = open()
      await poll(context)
      await moveOn(context, 6)
      store.put(action('a', 'Failed', clock.now()), action('b', 'Pending', clock.now()))
      const before = await stored()
      const emittedBefore = await emitted()
      store.fail = (request) => {
        if (failing.test(request)) throw new Error('no answer')
      }

      await expect(poll(context)).rejects.toThrow('no answer')
      const after = await stored()
      store.fail = () => {}
      await poll(context)

      expect(after).toEqual(before)
      expect((await emitted()).slice(emittedBefore.length).toSorted()).toEqual([
        'a changed Pending > Failed',
        'b appeared - > Pending',
      ])
    },
  )

  test('a list that fails on its second page changes nothing', async () => {
    await poll(open())
    const before = await stored()
    const broken: PollContext['source'] = {
      ...store.source,
      async *list() {
        yield { rows: [action('a', 'Pending', clock.now())], date: clock.now() }
        throw new Error('broken off')
      },
    }

    await expect(poll(open({ source: broken }))).rejects.toThrow('broken off')

    expect(await stored()).toEqual(before)
  })

  test('unreadable rows are counted and stop no other row', async () => {
    await poll(open())
    const lines: unknown[] = []
    const nameless = { status: 'Pending' } as unknown as ReturnType<typeof action>
    store.rows.set('x', nameless)
    store.rows.set('y', { ...action('a/b?', 'Pending', clock.now()) })
    store.put(action('a', 'Pending', clock.now()))

    await poll(
      open({
        log: { info: (_text, facts) => lines.push(facts?.unreadable), warn() {}, error() {} },
      }),
    )

    expect(await emitted()).toEqual(['a appeared - > Pending'])
    expect(lines).toEqual([3])
  })
})

describe.each(kinds)('two polls at the same moment, %s', (kind) => {
  test('each event is written once', async () => {
    const { table: shared } = await openFeed(kind, clock)
    const deps = { table: shared, clock, source: store.source }
    const [one, other] = [createContext(deps), createContext(deps)]
    await poll(one)
    await poll(other)
    const ids = Array.from({ length: 60 }, (_, n) => `a${n}`)
    store.put(...ids.map((id) => action(id, 'Pending', clock.now())))

    await Promise.all([poll(one), poll(other), poll(createContext(deps))])

    const events = await createFeed(shared).events(stream, 0, 1000)
    expect(events.map(({ subject }) => subject).toSorted()).toEqual(ids.toSorted())
    expect(events.map(({ sequence }) => Number(sequence))).toEqual(ids.map((_, n) => n + 1))
  })

  test('a poll that was slower lists again before it ends', async () => {
    const { table: shared } = await openFeed(kind, clock)
    const deps = { table: shared, clock, source: store.source }
    const [slow, quick] = [createContext(deps), createContext(deps)]
    await poll(slow)
    store.put(action('a', 'Pending', clock.now()))
    let isFirst = true
    const source: PollContext['source'] = {
      ...store.source,
      async *list(wanted) {
        yield* store.source.list(wanted)
        if (!('openNow' in wanted) || !isFirst) return
        isFirst = false
        await poll(quick)
        store.put(action('b', 'Pending', clock.now()))
      },
    }

    const { report } = await poll({ ...slow, source })

    const events = await createFeed(shared).events(stream, 0, 10)
    expect(report).toMatchObject({ listed: 2, events: 1 })
    expect(events.map(({ subject }) => subject)).toEqual(['a', 'b'])
  })

  test('two first polls emit nothing', async () => {
    const { table: shared } = await openFeed(kind, clock)
    const deps = { table: shared, clock, source: store.source }
    store.put(...Array.from({ length: 60 }, (_, n) => action(`a${n}`, 'Pending', clock.now())))

    await Promise.all([poll(createContext(deps)), poll(createContext(deps))])

    expect(await createFeed(shared).events(stream, 0, 10)).toEqual([])
    expect(await createFeed(shared).items(stream)).toHaveLength(60)
  })
})

describe('requests', () => {
  test('once an hour the list reaches back four days', async () => {
    store.put(action('a', 'Failed', clock.now()))
    const context = open()
    await poll(context)
    store.requests = []

    for (let minute = 1; minute <= 180; minute++) {
      clock.advance(1)
      await poll(context)
    }

    const wide = store.requests.flatMap((request, index) =>
      request.includes('2026-02-25T') ? [index / 2 + 1] : [],
    )
    expect(wide).toEqual([60, 120, 180])
  })

  test('an item that became visible late is found by the wide list', async () => {
    store.put(action('a', 'Failed', clock.now()))
    await poll(open())
    clock.advance(1)
    store.put(action('late', 'Failed', '2026-02-27T00:00:00Z'))

    await poll(open())
    const before = await emitted()
    clock.advance(HOUR)
    await poll(open())

    expect(before).toEqual([])
    expect(await emitted()).toEqual(['late appeared - > Failed'])
  })

  test('a poll requests at most 50 items by id, and later polls the others', async () => {
    const ids = Array.from({ length: 120 }, (_, n) => `p${String(n).padStart(3, '0')}`)
    store.put(...ids.map((id) => action(id, 'Paused', clock.now())))
    const context = open()
    await poll(context)
    await moveOn(context, 6)

    const polls: string[][] = []
    for (let number = 0; number < 3; number++) {
      store.requests = []
      const { report } = await poll(context)
      polls.push(store.requests.filter((request) => request.startsWith('p')))
      expect(report.rechecked).toBe(50)
    }

    // `moveOn` has found them in its list, so all are due.
    expect(polls).toEqual([
      ids.slice(0, 50),
      ids.slice(50, 100),
      [...ids.slice(100), ...ids.slice(0, 30)],
    ])
  })

  test('an open item that is in no list is requested by id, and its end is emitted', async () => {
    store.put(action('a', 'Pending', clock.now()))
    await poll(open())
    await moveOn(open(), 7)
    store.put(action('a', 'TimeOut', '2026-03-01T00:00:00.000Z', clock.now()))
    store.requests = []

    await poll(open())

    expect(store.requests.slice(2)).toEqual(['a'])
    expect((await emitted()).slice(-1)).toEqual(['a changed Pending > TimeOut'])
  })

  test('an answer to an alert id is not read as the item', async () => {
    const investigationStore = createItemStore(investigations, clock)
    const deps = { table, clock, source: investigationStore.source, resource: investigations }
    investigationStore.put(investigation('7', 'Waiting', clock.now()))
    await poll(createContext(deps))
    clock.advance(7 * DAY)
    investigationStore.rows.set('7', investigation('8', 'Benign', clock.now()))

    await poll(createContext(deps))

    const events = await createFeed(table).events(investigations.name, 0, 10)
    expect(events.map(({ subject, data }) => [subject, data.to])).toEqual([['8', 'Benign']])
  })
})

describe('long runs', () => {
  test('a quiet tenant polled each minute for twelve days has two events for its one action', {}, async () => {
    const context = open()
    await poll(context)
    store.put(action('a', 'Pending', clock.now()))

    for (let minute = 1; minute <= 12 * DAY; minute++) {
      clock.advance(1)
      if (minute === 90)
        store.put(action('a', 'Succeeded', '2026-03-01T00:00:00.000Z', clock.now()))
      await poll(context)
    }

    expect(await emitted()).toEqual(['a appeared - > Pending', 'a changed Pending > Succeeded'])
  })

  test('an item is pruned when newer ones have moved the windows on, and has no second event', async () => {
    const context = open()
    await poll(context)
    store.put(action('a', 'Succeeded', clock.now()))
    await poll(context)
    clock.advance(12 * DAY)
    await poll(context)
    const before = await context.feed.items(stream)
    store.put(action('b', 'Succeeded', clock.now()))

    for (let hour = 1; hour <= 48; hour++) {
      clock.advance(HOUR)
      await poll(context)
    }

    expect(before.map(({ id }) => id)).toEqual(['a'])
    expect((await context.feed.items(stream)).map(({ id }) => id)).toEqual(['b'])
    expect(await emitted()).toEqual(['a appeared - > Succeeded', 'b appeared - > Succeeded'])
  })

  test('a poll with stale memory sees what another process has emitted', async () => {
    const [one, other] = [open(), open()]
    await poll(one)
    await poll(other)
    store.put(action('a', 'Pending', clock.now()))
    await poll(one)
    await poll(other)
    clock.advance(1)
    store.put(action('a', 'InProgress', '2026-03-01T00:00:00.000Z', clock.now()))

    await poll(other)
    await poll(one)
    clock.advance(1)
    store.put(action('a', 'Failed', '2026-03-01T00:00:00.000Z', clock.now()))
    await poll(one)
    await poll(other)

    expect(await emitted()).toEqual([
      'a appeared - > Pending',
      'a changed Pending > InProgress',
      'a changed InProgress > Failed',
    ])
  })
})

describe('clocks', () => {
  /** A clock that is so many minutes ahead. */
  const ahead = (minutes: number): PollContext['clock'] => ({
    ...clock,
    now: () => new Date(clock.now().getTime() + minutes * 60_000),
  })

  test.each([0.5, 24 * HOUR, -24 * HOUR])(
    'an instance whose clock is %f minutes ahead has the time of storage, to a second',
    async (minutes) => {
      const { report } = await poll(open({ clock: ahead(minutes) }))

      const differsMs = Math.abs(Date.parse(report.startedAt) - clock.now().getTime())
      expect(differsMs).toBeLessThanOrEqual(1000)
    },
  )

  test('when the time of storage was set back by a day, the wide list comes at once', async () => {
    store.put(action('a', 'Failed', clock.now()))
    await poll(open())
    clock.advance(-DAY)
    store.requests = []

    await poll(open())

    expect(store.requests[0]).toBe('created since 2026-02-25T00:00:00.000Z')
  })

  test('an event is detected after the lists were read, and its lag is never negative', async () => {
    await poll(open())
    const source: PollContext['source'] = {
      ...store.source,
      async *list(wanted) {
        clock.advance(75 / 60)
        if ('createdSince' in wanted) store.put(action('a', 'Pending', clock.now()))
        yield* store.source.list(wanted)
      },
    }

    const { report } = await poll(open({ source }))
    store.put(action('b', 'Pending', new Date(clock.now().getTime() + 9000)))
    const { report: future } = await poll(open())

    const [event] = await createFeed(table).events(stream, 0, 1)
    expect(event?.detectedat).toBe('2026-03-01T00:02:30.000Z')
    expect([report.detectionLagSeconds, future.detectionLagSeconds]).toEqual([75, 0])
  })
})

describe('answers by id', () => {
  /** An item that is in no list, and its answer. */
  async function recheck(answer: unknown) {
    store.put(action('a', 'Paused', clock.now()))
    const context = open()
    await poll(context)
    await moveOn(context, 6)
    const lines: unknown[] = []
    const log = { info() {}, warn: (...line: unknown[]) => void lines.push(line), error() {} }
    const source = { ...store.source, get: async () => answer }
    const { report } = await poll({ ...context, source, log })
    return { report, lines }
  }

  test.each([
    ['can not be read', { id: 'a' }, { unreadable: 1, outside: 0 }],
    ['is nested too deep', null, { unreadable: 1, outside: 0 }],
    [
      'is another item',
      action('b', 'Failed', '2026-03-01T00:00:00Z'),
      { unreadable: 0, outside: 1 },
    ],
    [
      'is in capitals',
      { ...action('A', 'Failed', '2026-03-02T00:00:00Z') },
      { unreadable: 0, outside: 0 },
    ],
  ])('one that %s is counted', async (what, answer, counts) => {
    const { report, lines } = await recheck(answer)

    expect(report).toMatchObject({ rechecked: 1, ...counts })
    expect(lines).toHaveLength(counts.unreadable)
    const ends = (await emitted()).filter((text) => text.startsWith('a changed'))
    expect(ends).toEqual(what === 'is in capitals' ? ['a changed Paused > Failed'] : [])
  })
})
