import { expect, test } from 'vitest'
import { createAdjustableClock } from '../../../local/clock.ts'
import { createFeed, expireEvents } from '../../../shared/events/feed/feed.ts'
import { readFeed } from '../../../shared/events/feed/read.ts'
import { createLog } from '../../../shared/platform/log.ts'
import { createMemoryTable } from '../../memory-table.ts'
import { cursorIn } from '../feed-on.ts'

const DAY_MS = 24 * 60 * 60 * 1000
const quiet = createLog({ info: () => {}, warn: () => {}, error: () => {} })

/** A feed with one event a day, the newest one half a day old. */
async function feedOfDays(days: number) {
  const table = createMemoryTable('Streams')
  await table.create()
  const clock = createAdjustableClock()
  const feed = createFeed(table)
  let head = await feed.head('things')
  for (let day = days - 1; day >= 0; day--) {
    const detectedAt = new Date(clock.now().getTime() - (day + 0.5) * DAY_MS).toISOString()
    const event = {
      item: `item${day}`,
      version: 1,
      type: 'thing.changed',
      source: '/',
      time: detectedAt,
      detectedAt,
      data: {},
    }
    head = await feed.append(head, [{ event }], '', { startedAt: detectedAt })
  }
  return { feed, clock, table }
}

const all = { streams: ['things'], limit: 1000, matches: () => true }

test('expired events are deleted, younger ones stay, and late readers get the gap', async () => {
  const { feed, clock } = await feedOfDays(20)
  await feed.moveCounter('things', 'dispatched', 20)

  await expireEvents({ feed, clock, log: quiet }, 'things', 7)
  const fresh = await readFeed(feed, { ...all, after: {} })
  const late = await readFeed(feed, { ...all, after: await cursorIn(feed, { things: 3 }) })

  expect('events' in fresh && fresh.events.map(({ sequence }) => Number(sequence))).toEqual([
    14, 15, 16, 17, 18, 19, 20,
  ])
  expect(late).toEqual({
    gap: { stream: 'things', reason: 'expired', fromSeq: 4, oldestSeq: 14 },
    next: await cursorIn(feed, { things: 13 }),
  })
})

test('no event is deleted that is not dispatched', async () => {
  const { feed, clock } = await feedOfDays(20)
  await feed.moveCounter('things', 'dispatched', 5)

  await expireEvents({ feed, clock, log: quiet }, 'things', 7)

  const [oldest] = await feed.events('things', 0, 1)
  expect(oldest?.sequence).toBe('000000000006')
})

test('a crash between the counter and the deletion is fixed in the next run, and a second run changes nothing', async () => {
  const { feed, clock } = await feedOfDays(20)
  await feed.moveCounter('things', 'dispatched', 20)
  await feed.moveCounter('things', 'oldest', 14)

  await expireEvents({ feed, clock, log: quiet }, 'things', 7)
  await expireEvents({ feed, clock, log: quiet }, 'things', 7)

  const kept = await feed.events('things', 0, 100)
  expect(kept).toHaveLength(7)
})

test("two who clean up at once are not in each other's way", async () => {
  const { feed, clock } = await feedOfDays(20)
  await feed.moveCounter('things', 'dispatched', 20)
  const run = () => expireEvents({ feed, clock, log: quiet }, 'things', 7)

  await Promise.all([run(), run()])

  expect(await feed.events('things', 0, 100)).toHaveLength(7)
})
