import { z } from 'zod'
import type { Feed } from './feed.ts'

/** Where one stream stands. */
export const streamReportSchema = z.strictObject({
  head: z.int(),
  oldest: z.int(),
  dispatched: z.int(),
  lagSeconds: z.int(),
})

export type StreamReport = z.infer<typeof streamReportSchema>

/** Tells where a stream stands; the lag is the age of the oldest event that was not handed out yet. */
export async function reportStream(feed: Feed, stream: string, now: Date): Promise<StreamReport> {
  const head = await feed.head(stream)
  const [{ seq: oldest }, { seq: dispatched }] = await Promise.all([
    feed.counter(stream, 'oldest'),
    feed.counter(stream, 'dispatched'),
  ])
  const [waiting] = dispatched < head.next - 1 ? await feed.events(stream, dispatched, 1) : []
  const lagMs = waiting ? now.getTime() - Date.parse(waiting.detectedat) : 0
  return {
    head: head.next - 1,
    oldest: Math.max(oldest, 1),
    dispatched,
    lagSeconds: Math.max(0, Math.round(lagMs / 1000)),
  }
}
