import { z } from 'zod'
import type { Reply } from '../../platform/route.ts'
import { DAY_MS } from '../../platform/time.ts'
import { type ChangesParts, changesRoute } from '../deps.ts'
import { isTold, poll } from '../poll.ts'
import { isPolling, type PollReport, readReport, type Watch } from '../poll-state.ts'
import { resourceParam } from './items.ts'

/** How often to look whether a poll that somebody else began has ended. */
const LOOK_EVERY_MS = 500

/** The report of a poll that began after `since` and ended well; undefined while there is none. */
async function findReport(watch: Watch, since: string): Promise<PollReport | undefined> {
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

/** The name of the reading that a check's ticket opens. */
export const CHECK_READING = 'changes-check'

const WAIT_MS = 20_000
const subjectSchema = z.object({ resource: resourceParam, since: z.string() })

const reportSchema = z.strictObject({
  startedAt: z.string(),
  endedAt: z.string(),
  listed: z.int(),
  rechecked: z.int(),
  events: z.int(),
  openItems: z.int(),
  unknownStates: z.record(z.string(), z.int()),
})

export const checkResource = changesRoute({
  name: 'check-resource',
  method: 'POST',
  path: 'changes/{resource}/check',
  summary: 'Poll now, for whoever knows of a change',
  params: z.strictObject({ resource: resourceParam }),
  body: z.strictObject({}),
  answers: {
    200: { description: 'The report of a poll that began after the request.', body: reportSchema },
    202: {
      description: 'Still polling: ask Location after Retry-After.',
      body: z.strictObject({}),
    },
  },
  async handle({ params: { resource }, origin }, parts) {
    const watch = parts.watch(resource)
    const since = watch.clock.now().toISOString()
    const report = await checkNow(watch, since, WAIT_MS, () => parts.dispatch(resource))
    if (report) return { status: 200, body: view(report) }
    const ticket = await parts.tickets.issue(
      { reading: CHECK_READING, subject: JSON.stringify({ resource, since }) },
      DAY_MS,
    )
    return notYet(`${origin}/api/continue/${ticket}`)
  },
})

/** What a check's ticket reads. */
export async function continueCheck(
  subject: string,
  location: string,
  parts: ChangesParts,
): Promise<Reply> {
  const { resource, since } = subjectSchema.parse(JSON.parse(subject))
  const report = await findReport(parts.watch(resource), since)
  return report ? { status: 200, body: view(report) } : notYet(location)
}

const notYet = (location: string): Reply => ({
  status: 202,
  body: {},
  headers: { location, 'retry-after': '5' },
})

function view({
  startedAt,
  endedAt,
  listed,
  rechecked,
  events,
  openItems,
  unknownStates,
}: PollReport) {
  return { startedAt, endedAt, listed, rechecked, events, openItems, unknownStates }
}
