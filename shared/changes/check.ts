import { poll, type Watch } from './poll.ts'
import { type PollReport, toPollReport } from './poll-report.ts'

/** How often to look whether a poll that somebody else began has ended. */
const LOOK_EVERY_MS = 500

/** The report of a poll that began after `since` and ended well; undefined while there is none. */
export async function findReport({ feed, resource }: Watch, since: string): Promise<PollReport | undefined> {
  const noted = await feed.poll(resource.name)
  const report = noted && toPollReport(noted)
  return report && report.endedAt !== null && report.startedAt >= since ? report : undefined
}

/**
 * Polls now for a caller who knows of a change: answers a poll that began after `since`, one for all who ask at once.
 * Undefined when none has ended within `waitMs`.
 */
export async function checkNow(
  watch: Watch,
  since: string,
  waitMs: number,
  afterPoll: () => Promise<void>,
): Promise<PollReport | undefined> {
  const { feed, resource, clock } = watch
  const until = clock.now().getTime() + waitMs
  while (clock.now().getTime() < until) {
    const report = await findReport(watch, since)
    if (report) return report
    const noted = await feed.poll(resource.name)
    const isRunning = typeof noted?.until === 'string' && noted.until > clock.now().toISOString()
    if (isRunning) await clock.sleep(LOOK_EVERY_MS)
    else {
      const { report: own } = await poll(watch)
      await afterPoll()
      if (own.startedAt >= since) return own
    }
  }
  return undefined
}
