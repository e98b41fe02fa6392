import { z } from 'zod'
import { singleFlight } from '../../platform/single-flight.ts'
import { DAY_MS } from '../../platform/time.ts'
import { poll } from '../poll.ts'
import {
  isPolling,
  type PollContext,
  type PollReport,
  pollReportSchema,
  readHead,
  readReport,
} from '../poll-state.ts'
import { changesRoute, resourceParam } from './items.ts'

/** How often to check whether a running poll has ended. */
const CHECK_EVERY_MS = 500

/** The report of a successful poll that started after `since`; undefined while there is none. */
async function findReport(context: PollContext, since: string): Promise<PollReport | undefined> {
  const report = await readReport(context)
  return report && report.startedAt >= since ? report : undefined
}

/**
 * Polls for a caller who knows of a change. Returns the report of a poll that started after `since`, by the clock `now`;
 * callers at the same time share one. Undefined if none has ended within `waitMs`; a running poll then continues.
 */
export async function checkNow(
  context: PollContext,
  { since, now }: { since: string; now(): Date },
  waitMs: number,
  afterPoll: () => Promise<void>,
): Promise<PollReport | undefined> {
  const { clock, memory, resource } = context
  memory.check ??= singleFlight(pollFor)
  const over = new AbortController()
  // It rejects only after the end, when nothing waits for it.
  const late = clock.sleep(waitMs, over.signal).catch(() => {})
  const until = clock.now().getTime() + waitMs
  try {
    while (clock.now().getTime() < until) {
      const report = await findReport(context, since)
      if (report) return report
      if (await isPolling(context, now())) await clock.sleep(CHECK_EVERY_MS)
      else {
        const own = await Promise.race([memory.check(resource.name, context, afterPoll), late])
        if (own && own.startedAt >= since) return own
      }
    }
    return undefined
  } finally {
    over.abort()
  }
}

async function pollFor(_resource: string, context: PollContext, afterPoll: () => Promise<void>) {
  const { report } = await poll(context)
  await afterPoll()
  return report
}

const WAIT_MS = 20_000

const reportSchema = pollReportSchema
  .omit({ oldestOpenId: true, oldestOpenSince: true, detectionLagSeconds: true })
  .strict()

export const checkResource = changesRoute({
  name: 'check-resource',
  method: 'POST',
  path: 'changes/{resource}/check',
  summary: 'Poll now, for a caller who knows of a change',
  params: z.strictObject({ resource: resourceParam }),
  body: z.strictObject({}),
  answers: {
    200: {
      description: 'The report of a poll that started after the request.',
      body: reportSchema,
    },
    202: {
      description: 'Still polling: get Location after Retry-After.',
      body: z.strictObject({}),
    },
  },
  longPoll: {
    name: 'changes-check',
    subject: z.object({ resource: resourceParam, since: z.string() }),
    lifetimeMs: () => DAY_MS,
    retryAfterSeconds: 5,
    read: async ({ resource, since }, deps) =>
      answer(await findReport(deps.context(resource), since)),
  },
  async handle({ params: { resource } }, deps) {
    const context = deps.context(resource)
    const { now } = await readHead(context)
    const since = now().toISOString()
    const report = await checkNow(context, { since, now }, WAIT_MS, () => deps.dispatch(resource))
    return { ...answer(report), subject: { resource, since } }
  },
})

const answer = (report: PollReport | undefined) =>
  report ? { status: 200, body: reportSchema.strip().parse(report) } : { status: 202, body: {} }
