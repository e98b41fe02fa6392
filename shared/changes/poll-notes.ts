import { z } from 'zod'
import { type PollReport, readReport } from './poll-report.ts'
import type { Watch } from './watch.ts'

/** A poll that has not ended after so long counts as dead. */
const RUNNING_MS = 120_000

const beganSchema = z.object({ startedAt: z.string() })
const failedSchema = z.object({ startedAt: z.string(), endedAt: z.string(), error: z.string() })

/** A poll that failed. */
export type FailedPoll = z.output<typeof failedSchema>

type Noted = Pick<Watch, 'feed' | 'resource'>

/** Notes that a poll has begun: whoever wants one as well may wait for it. */
export const noteBegun = ({ feed, resource }: Noted, startedAt: string): Promise<void> =>
  feed.notePoll(resource.name, 'began', { startedAt })

/** Notes that a poll has failed; the report of the last one that ended well stays. */
export const noteFailed = ({ feed, resource }: Noted, failed: FailedPoll): Promise<void> =>
  feed.notePoll(resource.name, 'failed', { ...failed })

/** The last poll that ended well and the last one that failed. */
export async function readEnded(
  watch: Noted,
): Promise<{ report?: PollReport; failed?: FailedPoll }> {
  const { feed, resource } = watch
  const [report, failed] = await Promise.all([
    readReport(watch),
    feed.poll(resource.name, 'failed'),
  ])
  return { ...(report && { report }), ...(failed && { failed: failedSchema.parse(failed) }) }
}

/** Whether a poll has begun that may still be running. */
export async function isPolling(watch: Noted & Pick<Watch, 'clock'>): Promise<boolean> {
  const { feed, resource, clock } = watch
  const noted = await feed.poll(resource.name, 'began')
  if (!noted) return false
  const { startedAt } = beganSchema.parse(noted)
  const { report, failed } = await readEnded(watch)
  const hasEnded = [report, failed].some((ended) => ended && ended.startedAt >= startedAt)
  return !hasEnded && clock.now().getTime() - Date.parse(startedAt) < RUNNING_MS
}
