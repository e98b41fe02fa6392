import { isTold, poll } from './poll.ts'
import { isPolling } from './poll-notes.ts'
import { type PollReport, readReport } from './poll-report.ts'
import type { Watch } from './watch.ts'

/** How often to look whether a poll that somebody else began has ended. */
const LOOK_EVERY_MS = 500

/** The report of a poll that began after `since` and ended well; undefined while there is none. */
export async function findReport(watch: Watch, since: string): Promise<PollReport | undefined> {
  const report = await readReport(watch)
  return report && report.startedAt >= since ? report : undefined
}

/**
 * Polls now for a caller who knows of a change: answers a poll that began after `since`, one for all who ask at once.
 * Undefined when none has ended within `waitMs`; one that is under way then goes on.
 */
export async function checkNow(
  watch: Watch,
  since: string,
  waitMs: number,
  afterPoll: () => Promise<void>,
): Promise<PollReport | undefined> {
  const { clock, memory } = watch
  const over = new AbortController()
  // Rejects only when it is over, and then nobody listens.
  const late = clock.sleep(waitMs, over.signal).catch(() => {})
  const until = clock.now().getTime() + waitMs
  try {
    while (clock.now().getTime() < until) {
      const report = await findReport(watch, since)
      if (report) return report
      if (await isPolling(watch)) await clock.sleep(LOOK_EVERY_MS)
      else {
        const own = await Promise.race([pollAndTell(), late])
        if (own && own.startedAt >= since) return own
      }
    }
    return undefined
  } finally {
    over.abort()
  }

  /** One for all who ask this process at the same moment, before the poll has noted that it began. */
  function pollAndTell(): Promise<PollReport> {
    if (memory.checking) return memory.checking
    const checking = poll(watch)
      .then(async ({ report }) => {
        await afterPoll()
        return report
      })
      .finally(() => {
        memory.checking = undefined
      })
    // Whoever asked may have had an answer by then, and hears no more of it.
    checking.catch(tellUnexpected)
    memory.checking = checking
    return checking
  }

  function tellUnexpected(error: unknown): void {
    if (isTold(error)) return
    watch.log.error('poll failed', { resource: watch.resource.name, reason: String(error) })
  }
}
