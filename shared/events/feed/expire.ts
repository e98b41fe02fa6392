import type { Log } from '../../platform/log.ts'
import { type Clock, DAY_MS } from '../../platform/time.ts'
import type { Feed } from './feed.ts'

const PAGE = 1000

/**
 * Deletes the events of a stream that are past their time, never one that is still to be handed out. Readers learn of it
 * first: `oldest` moves before anything is deleted.
 */
export async function expireEvents(
  { feed, clock, log }: { feed: Feed; clock: Clock; log: Log },
  stream: string,
  retentionDays: number,
): Promise<void> {
  const cutoff = new Date(clock.now().getTime() - retentionDays * DAY_MS).toISOString()
  const { seq: dispatched } = await feed.counter(stream, 'dispatched')
  const { seq: oldest } = await feed.counter(stream, 'oldest')
  let upTo = Math.max(oldest - 1, 0)
  for (;;) {
    const events = await feed.events(stream, upTo, PAGE)
    const stored = events.findIndex(
      ({ detectedat, sequence }) => detectedat >= cutoff || Number(sequence) > dispatched,
    )
    upTo =
      stored === -1 ? Number(events.at(-1)?.sequence ?? upTo) : Number(events[stored]?.sequence) - 1
    if (stored !== -1 || events.length < PAGE) break
  }
  if (upTo < Math.max(oldest, 1)) {
    // A crash may have come between the counter and the deletion.
    if (oldest > 1) await feed.deleteEvents(stream, oldest - 1)
    return
  }
  await feed.moveCounter(stream, 'oldest', upTo + 1)
  await feed.deleteEvents(stream, upTo)
  log.info('events past their time deleted', { stream, upTo })
}
