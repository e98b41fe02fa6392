import { z } from 'zod'
import type { ExportsReport } from '../av-health/report-exports.ts'
import type { ChangesReport } from '../changes/report-changes.ts'
import type { DeliveryReport } from '../events/count-deliveries.ts'
import type { ConfigError } from '../platform/errors.ts'
import type { UpstreamReport } from '../platform/upstream-watch.ts'
import { grantDefender } from './preflight-remedies.ts'

/** Something that is wrong, and what an operator can do about it. */
export const problemSchema = z.strictObject({ title: z.string(), remedy: z.string() })
export type Problem = z.infer<typeof problemSchema>

/** What is wrong with the settings of a section. */
export const settingProblems = ({ problems }: ConfigError): Problem[] =>
  problems.map(({ setting, problem }) => ({
    title: `${setting} ${problem}`,
    remedy: `Set ${setting} in the settings of the function app.`,
  }))

/** What is wrong when the data account does not answer. */
export const storageProblem: Problem = {
  title: 'The data account does not answer',
  remedy:
    "Check RELAY_STORAGE, the account's network rules, and that the identity may read and write its tables and queues.",
}

/** What helps where there is no answer. */
export const unreachable =
  'Check the network of the function app and the health of the service; the app tries again by itself.'
const upstreamRemedies: Record<
  'Defender' | 'Tenable',
  Partial<Record<UpstreamReport['state'], string>>
> = {
  Defender: {
    forbidden:
      "Grant the app's identity the missing app role on WindowsDefenderATP; new roles show in tokens after hours.",
    gone: 'The route is gone: check DEFENDER_CLOUD and DEFENDER_BASE_URL, and whether Microsoft has retired the API.',
    throttled:
      'Another app may be using the same app registration: limits count per application and tenant.',
    unreachable,
  },
  Tenable: {
    forbidden:
      'Give the Tenable user of the keys the missing permission, or the app the keys of another user.',
    gone: 'The route is gone: check TENABLE_BASE_URL.',
    throttled: 'Another program may be using the same keys: limits count per Tenable user.',
    unreachable,
  },
}

/** What helps in a state of an upstream. */
export const upstreamRemedy = (
  name: keyof typeof upstreamRemedies,
  state: UpstreamReport['state'],
): string => upstreamRemedies[name][state] ?? unreachable

/** What is wrong with an upstream, as one flow sees it. */
export function upstreamProblems(
  name: keyof typeof upstreamRemedies,
  { state, lastError }: UpstreamReport,
  flow?: string,
): Problem[] {
  const usual = upstreamRemedies[name][state]
  if (!usual) return []
  const { title = '', missing = [] } = lastError ?? {}
  const [first] = missing
  const remedy =
    name === 'Defender' && first !== undefined ? `${grantDefender(first, null)} (${LATE})` : usual
  const lacks = first === undefined ? '' : ` (missing: ${missing.join(' or ')})`
  return [{ title: `${flow ? `${flow}: ` : ''}${name} is ${state}: ${title}${lacks}`, remedy }]
}

const LATE =
  'tokens show a new role after minutes to a day; GET /api/status?preflight=true looks at once'

/** What is wrong with the export runs. */
export function runProblems(last: ExportsReport['lastRun']): Problem[] {
  if (last?.state !== 'failed') return []
  return [
    {
      title: `Export run ${last.runId} failed: ${last.reason ?? 'no reason is known'}`,
      remedy: `GET /api/av-health/exports/${last.runId} shows every file; the next scheduled run begins anew.`,
    },
  ]
}

/** A watch that has not looked for so long has stopped, which is not the same as nothing having happened. */
const SILENT_MS = 15 * 60_000

/** What is wrong with the watch and with the deliveries of what it finds. */
export function changeProblems(
  { changes, deliveries }: { changes: Record<string, ChangesReport>; deliveries: DeliveryReport },
  now: Date,
): Problem[] {
  const problems = pollProblems(changes, now)
  if (deliveries.dead > 0) {
    const remedy =
      'GET /api/subscriptions/{id}/deliveries?state=dead lists them; POST …/replay {"dead": true} sends them again.'
    problems.push({ title: `${deliveries.dead} deliveries were given up`, remedy })
  }
  for (const { id, callbackHost } of deliveries.failing) {
    const remedy = 'Mend the receiver: what it is owed is kept and tried again.'
    problems.push({ title: `Subscription ${id} to ${callbackHost} is failing`, remedy })
  }
  for (const { id, callbackHost, reason } of deliveries.disabled) {
    const remedy = `POST /api/subscriptions/${id}/enable once the receiver is mended, or delete it.`
    problems.push({
      title: `Subscription ${id} to ${callbackHost} is disabled: ${reason ?? ''}`,
      remedy,
    })
  }
  return problems
}

function pollProblems(reports: Record<string, ChangesReport>, now: Date): Problem[] {
  return Object.entries(reports).flatMap(([name, { lastPoll, unknownStates }]) => {
    const problems: Problem[] = []
    if (lastPoll?.error) {
      problems.push({
        title: `The last poll of ${name} failed: ${lastPoll.error}`,
        remedy: 'The next poll tries again.',
      })
    }
    if (lastPoll && now.getTime() - Date.parse(lastPoll.startedAt) > SILENT_MS) {
      const remedy = 'Check that the function app runs and that its timers are not disabled.'
      problems.push({ title: `No poll of ${name} since ${lastPoll.startedAt}`, remedy })
    }
    const unknown = Object.keys(unknownStates)
    if (unknown.length > 0) {
      const remedy =
        'They are carried as they are and never taken for an end; a newer version may know them.'
      problems.push({ title: `Unknown states among the ${name}: ${unknown.join(', ')}`, remedy })
    }
    return problems
  })
}
