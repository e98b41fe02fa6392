import { z } from 'zod'
import type { Reply } from '../../platform/route.ts'
import { checkNow, findReport } from '../check.ts'
import { type ChangesParts, changesRoute } from '../parts.ts'
import type { PollReport } from '../poll-report.ts'
import { resourceParam } from './items.ts'

/** The name of the reading that a check's ticket opens. */
export const CHECK_READING = 'changes-check'

const WAIT_MS = 20_000
const DAY_MS = 24 * 60 * 60 * 1000
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
