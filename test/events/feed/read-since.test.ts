import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { cursorSince } from '../../../shared/events/feed/read.ts'
import { eventOf, openFeed } from '../feed-on.ts'

const at = (seconds: number) => new Date(Date.UTC(2026, 2, 1) + seconds * 1000)

/** A stream with one event for each second, detected then, and the number of its expired events. */
async function streamOf(seconds: number[], expired = 0) {
  const { feed } = await openFeed('in memory')
  const steps = seconds.map((second, index) => ({
    event: eventOf(`actions-${index}`, index + 1, { detectedAt: at(second).toISOString() }),
  }))
  await feed.append(await feed.head('actions'), steps, '', {})
  if (expired > 0) {
    await feed.moveCounter('actions', 'oldest', expired + 1)
    await feed.deleteEvents('actions', expired)
  }
  return feed
}

describe('reading from a time on', () => {
  test.each([
    ['before all events', 0, 0],
    ['at the time of one', 30, 1],
    ['between two', 31, 2],
    ['after all', 99, 4],
  ])('begins before the first event detected then or later: %s', async (_what, since, seq) => {
    const feed = await streamOf([10, 30, 40, 50])

    const { actions, others } = await cursorSince(feed, ['actions', 'others'], at(since))

    expect([actions?.seq, others?.seq]).toEqual([seq, 0])
  })

  test('leaves no event out, for any length of stream, any expired events and clocks that differ by minutes', async () => {
    const step = fc.record({ ahead: fc.nat(150), back: fc.nat(290) })
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 150, size: 'max' }),
        fc.nat(100),
        fc.nat(10_000),
        async (gaps, gone, since) => {
          let now = 0
          const seconds = gaps.map(({ ahead, back }) => {
            now += ahead
            return Math.max(now - back, 0)
          })
          const expired = Math.min(gone, seconds.length)
          const feed = await streamOf(seconds, expired)

          const { actions } = await cursorSince(feed, ['actions'], at(since))

          const first = seconds.findIndex((second, index) => index >= expired && second >= since)
          expect(actions?.seq).toBe(first === -1 ? seconds.length : first)
        },
      ),
      { numRuns: 150 },
    )
  })
})
