import { type PollReport, poll, type Watch } from './poll.ts'

/** How often to look whether a poll that somebody else began has ended. */
const LOOK_EVERY_MS = 500

/** The report of a poll that began after `since`; undefined while there is none. */
export async function findReport({ feed, resource }: Watch, since: string): Promise<PollReport | undefined> {
  const noted = await feed.poll(resource.name)
  if (!noted || typeof noted.endedAt !== 'string' || String(noted.startedAt) < since) return undefined
  const { startedAt, endedAt, listed, rechecked, events, openItems, unknownStates } = noted
  return {
    ...{ startedAt: String(startedAt), endedAt, listed: Number(listed), rechecked: Number(rechecked) },
    ...{
      events: Number(events),
      openItems: Number(openItems),
      unknownStates: JSON.parse(String(unknownStates ?? '{}')),
    },
  }
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
    const isRunning =
      noted !== undefined && noted.endedAt === undefined && String(noted.until) > clock.now().toISOString()
    if (isRunning) await clock.sleep(LOOK_EVERY_MS)
    else {
      const { report: own } = await poll(watch)
      await afterPoll()
      if (own.startedAt >= since) return own
    }
  }
  return undefined
}
