import { describe, expect, test } from 'vitest'
import type { CloudEvent } from '../../../shared/events/event.ts'
import { createFeed, type Feed } from '../../../shared/events/feed/feed.ts'
import {
  type Cursor,
  cursorAtNow,
  type FeedPage,
  readFeed,
} from '../../../shared/events/feed/read.ts'
import { cursorIn, eventOf, kinds, openFeed } from '../feed-on.ts'

const streams = ['actions', 'others']
const all = () => true
const timeOf = (second: number) => new Date(Date.UTC(2026, 2, 1, 0, 0, second)).toISOString()

/** Appends an event for each second, detected then. */
async function append(feed: Feed, stream: string, seconds: number[]): Promise<void> {
  const steps = seconds.map((second, index) => ({
    event: eventOf(`${stream}-${index}`, second, { detectedAt: timeOf(second) }),
  }))
  await feed.append(await feed.head(stream), steps, '', {})
}

const places = (events: CloudEvent[]) =>
  events.map(({ subject, sequence }) => `${subject.split('-')[0]} ${Number(sequence)}`)

function pageOf(page: FeedPage) {
  if ('gap' in page) throw new Error('there is a gap')
  return page
}

/** Reads all pages to the end. */
async function readAll(
  feed: Feed,
  limit: number,
  matches: (event: CloudEvent) => boolean = all,
  from: Cursor = {},
) {
  const events: CloudEvent[] = []
  const cursors: Cursor[] = []
  let after = from
  for (;;) {
    const page = pageOf(await readFeed(feed, { streams, after, limit, matches }))
    events.push(...page.events)
    cursors.push(page.next)
    after = page.next
    if (!page.more) return { events, cursors, pages: cursors.length }
  }
}

describe.each(kinds)('a feed %s', (kind) => {
  test('two streams are merged by the time of detection', async () => {
    const { feed } = await openFeed(kind)
    await append(feed, 'actions', [1, 4, 5])
    await append(feed, 'others', [2, 3, 6])

    const { events } = pageOf(await readFeed(feed, { streams, after: {}, limit: 10, matches: all }))

    expect(places(events)).toEqual([
      'actions 1',
      'others 1',
      'others 2',
      'actions 2',
      'actions 3',
      'others 3',
    ])
  })

  test('a stream keeps its own order even when a clock went back', async () => {
    const { feed } = await openFeed(kind)
    await append(feed, 'actions', [9, 1, 5])
    await append(feed, 'others', [2, 7])

    const { events } = await readAll(feed, 2)

    const mine = places(events).filter((place) => place.startsWith('actions'))
    expect(mine).toEqual(['actions 1', 'actions 2', 'actions 3'])
    expect(events).toHaveLength(5)
  })

  test.each([1, 2, 3, 7, 100])('pages of %d have every event once, in one order', async (limit) => {
    const { feed } = await openFeed(kind)
    await append(feed, 'actions', [1, 1, 2, 2, 3])
    await append(feed, 'others', [1, 2, 2, 9])

    const { events } = await readAll(feed, limit)

    expect(new Set(events.map(({ id }) => id)).size).toBe(9)
    expect(places(events)).toEqual(places((await readAll(feed, 1000)).events))
    expect(events.map(({ detectedat }) => detectedat)).toEqual(
      events.map(({ detectedat }) => detectedat).toSorted(),
    )
  })

  test('the cursor moves past events that the filter leaves out', async () => {
    const { feed } = await openFeed(kind)
    await append(feed, 'actions', [1, 2, 3, 4])

    const page = pageOf(
      await readFeed(feed, { streams, after: {}, limit: 10, matches: () => false }),
    )

    expect(page).toEqual({
      events: [],
      next: await cursorIn(feed, { actions: 4, others: 0 }),
      more: false,
    })
  })

  test('the cursor is after the last event of a page, not after the last event read', async () => {
    const { feed } = await openFeed(kind)
    await append(feed, 'actions', [1, 3, 5])
    await append(feed, 'others', [2, 4])

    const page = pageOf(await readFeed(feed, { streams, after: {}, limit: 3, matches: all }))

    expect(page.next).toEqual(await cursorIn(feed, { actions: 2, others: 1 }))
    expect(page.more).toBe(true)
  })

  test('what is appended later comes next, and a stream that is not read keeps its position', async () => {
    const { feed } = await openFeed(kind)
    await append(feed, 'actions', [1])
    const { cursors } = await readAll(feed, 10)
    await append(feed, 'actions', [2])
    await append(feed, 'others', [3])

    const after = cursors.at(-1) ?? {}
    const page = pageOf(
      await readFeed(feed, { streams: ['actions'], after, limit: 10, matches: all }),
    )

    expect(places(page.events)).toEqual(['actions 2'])
    expect(page.next).toEqual(await cursorIn(feed, { actions: 2, others: 0 }))
  })

  test('a cursor at the end has only later events after it', async () => {
    const { feed } = await openFeed(kind)
    await append(feed, 'actions', [1, 2])

    const now = await cursorAtNow(feed, streams)
    await append(feed, 'others', [3])

    expect(now).toEqual(await cursorIn(feed, { actions: 2, others: 0 }))
    expect(places((await readAll(feed, 10, all, now)).events)).toEqual(['others 1'])
  })

  test('a cursor before the oldest event gets the gap and where to continue', async () => {
    const { feed } = await openFeed(kind)
    await append(feed, 'actions', [1, 2, 3, 4, 5])
    await feed.moveCounter('actions', 'oldest', 4)
    const read = async (seq: number) => {
      const after = await cursorIn(feed, { actions: seq, others: 0 })
      return readFeed(feed, { streams, after, limit: 10, matches: all })
    }

    const late = await read(2)
    const justInTime = pageOf(await read(3))

    expect(late).toEqual({
      gap: { stream: 'actions', reason: 'expired', fromSeq: 3, oldestSeq: 4 },
      next: await cursorIn(feed, { actions: 3, others: 0 }),
    })
    expect(places(justInTime.events)).toEqual(['actions 4', 'actions 5'])
  })

  test('a cursor of a feed that began again gets the gap and where the new feed begins', async () => {
    const { feed } = await openFeed(kind)
    const { feed: before } = await openFeed(kind)
    await append(feed, 'actions', [1, 2, 3])
    await append(before, 'actions', [1, 2, 3])
    const after = await cursorAtNow(before, ['actions'])

    const page = await readFeed(feed, { streams, after, limit: 10, matches: all })
    const on = await readAll(feed, 10, all, page.next)

    expect(page).toMatchObject({ gap: { stream: 'actions', reason: 'reset', oldestSeq: 1 } })
    expect(places(on.events)).toEqual(['actions 1', 'actions 2', 'actions 3'])
  })

  test('a cursor is valid at the end of its stream, and refused beyond it', async () => {
    const { feed } = await openFeed(kind)
    await append(feed, 'actions', [1, 2])
    const read = async (seq: number) =>
      readFeed(feed, {
        streams,
        after: await cursorIn(feed, { actions: seq }),
        limit: 10,
        matches: all,
      })

    expect(pageOf(await read(2)).events).toEqual([])
    expect(await read(3)).toMatchObject({ gap: { stream: 'actions', reason: 'ahead' } })
  })

  test('without a position a stream is read from its oldest event', async () => {
    const { feed } = await openFeed(kind)
    await append(feed, 'actions', [1, 2, 3])
    await feed.moveCounter('actions', 'oldest', 3)
    await feed.deleteEvents('actions', 2)

    expect(places((await readAll(feed, 10)).events)).toEqual(['actions 3'])
  })

  test.each([
    ['a gap', true],
    ['no gap for a reader without a position', false],
  ])(
    'events that are deleted while a page is read leave no silent gap: it is %s',
    async (_how, hasPlace) => {
      const { feed } = await openFeed(kind)
      await append(feed, 'actions', [1, 2, 3, 4, 5])
      const after = await cursorIn(feed, hasPlace ? { actions: 1 } : {})
      const slow: Feed = {
        ...feed,
        async counter(stream, name) {
          const answer = await feed.counter(stream, name)
          await feed.moveCounter('actions', 'oldest', 4)
          await feed.deleteEvents('actions', 3)
          return answer
        },
      }

      const page = await readFeed(slow, { streams: ['actions'], after, limit: 10, matches: all })

      if (hasPlace)
        expect(page).toMatchObject({
          gap: { fromSeq: 2, oldestSeq: 4 },
          next: { actions: { seq: 3 } },
        })
      else expect(places(pageOf(page).events)).toEqual(['actions 4', 'actions 5'])
    },
  )
})

test('at most 1,000 events are read for one page, whatever the number of streams', async () => {
  const { feed } = await openFeed('in memory')
  await append(
    feed,
    'actions',
    Array.from({ length: 1200 }, (_, n) => n),
  )
  await append(
    feed,
    'others',
    Array.from({ length: 700 }, (_, n) => n),
  )
  let looked = 0
  const matches = () => {
    looked += 1
    return false
  }

  const both = pageOf(await readFeed(feed, { streams, after: {}, limit: 10, matches }))
  const first = looked
  looked = 0
  const one = pageOf(await readFeed(feed, { streams: ['actions'], after: {}, limit: 10, matches }))

  expect(first).toBeLessThanOrEqual(1000)
  expect(both.more).toBe(true)
  expect([looked, one.next, one.more]).toEqual([
    1000,
    await cursorIn(feed, { actions: 1000 }),
    true,
  ])
})

test('a stream with unread events holds the others back, and nothing is skipped', async () => {
  const { feed } = await openFeed('in memory')
  await append(
    feed,
    'actions',
    Array.from({ length: 1300 }, () => 1),
  )
  await append(feed, 'others', [2, 3])

  const first = pageOf(await readFeed(feed, { streams, after: {}, limit: 1000, matches: all }))
  const { events, pages } = await readAll(feed, 1000)

  expect(places(first.events).filter((place) => place.startsWith('others'))).toEqual([])
  expect(new Set(events.map(({ id }) => id)).size).toBe(1302)
  expect(places(events).slice(-2)).toEqual(['others 1', 'others 2'])
  expect(pages).toBeGreaterThan(2)
})

test('a page ends before a hole, and the next page says what is missing', async () => {
  const { feed } = await openFeed('in memory')
  await append(feed, 'actions', [1, 2, 3, 4, 5, 6])
  const deleting: Feed = {
    ...feed,
    async events(...asked) {
      const events = await feed.events(...asked)
      await feed.moveCounter('actions', 'oldest', 6)
      return events.filter(({ sequence }) => ![4, 5].includes(Number(sequence)))
    },
  }

  const page = pageOf(
    await readFeed(deleting, { streams: ['actions'], after: {}, limit: 10, matches: all }),
  )
  const next = await readFeed(feed, {
    streams: ['actions'],
    after: page.next,
    limit: 10,
    matches: all,
  })

  expect(places(page.events)).toEqual(['actions 1', 'actions 2', 'actions 3'])
  expect(next).toMatchObject({ gap: { fromSeq: 4, oldestSeq: 6 } })
})

test('a stream that does not exist yet is empty', async () => {
  const { table } = await openFeed('in memory')

  const feed = createFeed(table)
  const page = await readFeed(feed, { streams, after: {}, limit: 10, matches: all })

  expect(page).toEqual({
    events: [],
    next: await cursorIn(feed, { actions: 0, others: 0 }),
    more: false,
  })
})
