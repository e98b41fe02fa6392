import { z } from 'zod'
import type { App } from '../app.ts'
import type { ChangesReport } from '../changes/poll-state.ts'
import type { DeliveryReport } from '../events/subscriptions/view.ts'
import type { ExportsReport } from '../exports/view.ts'
import { isIdentityFailure, isStorageFailure } from '../platform/azure-table.ts'
import { readUsable } from '../platform/config.ts'
import { ConfigError } from '../platform/errors.ts'
import { DAY_MS, MINUTE_MS } from '../platform/time.ts'
import type { Announcement, UpstreamReport } from '../platform/upstream-health.ts'
import type { DefenderFamily } from '../upstreams/grants.ts'
import { grantDefender } from './fixes.ts'
import { flowGrants, type GrantedFlow } from './flows.ts'
import { avHealthSettings } from './settings.ts'

/** Something that is wrong, and what an operator can do about it. */
export const problemSchema = z.strictObject({ title: z.string(), fix: z.string() })
export type Problem = z.infer<typeof problemSchema>

/** A part of a report, or why there is none. */
export interface Loaded<T> {
  value: T | null
  missing: ConfigError | null
  /** The data account did not answer, or nobody is signed in to ask it. */
  isStorageDown: boolean
}

/** The part, or why there is none: reports come also when nothing else does. */
export async function tryLoad<T>(make: () => Promise<T>): Promise<Loaded<T>> {
  try {
    return { value: await make(), missing: null, isStorageDown: false }
  } catch (error) {
    if (error instanceof ConfigError) return { value: null, missing: error, isStorageDown: false }
    if (isStorageFailure(error) || isIdentityFailure(error))
      return { value: null, missing: null, isStorageDown: true }
    throw error
  }
}

/** What is wrong with the settings of a section. */
export const settingProblems = ({ problems }: ConfigError): Problem[] =>
  problems.map(({ setting, problem }) => ({
    title: `${setting} ${problem}`,
    fix: `Set ${setting} in the settings of the function app.`,
  }))

/** What is wrong when the data account does not answer. */
export const storageProblem: Problem = {
  title: 'The data account does not answer',
  fix: "Check RELAY_STORAGE, the account's network rules, and that the identity may read and write its tables and queues.",
}

/** What helps where there is no answer. */
export const unreachable =
  'Check the network of the function app and the health of the service; the app tries again by itself.'
const incompatible =
  'The service does not take the calls of this version: check its base URL, and look for a newer version of this app.'
const upstreamFixes: Record<
  'Defender' | 'Tenable',
  Partial<Record<UpstreamReport['state'], string>>
> = {
  Defender: {
    forbidden:
      "Grant the app's identity the missing app role on WindowsDefenderATP; new roles show in tokens after hours.",
    gone: 'The route is gone: check DEFENDER_CLOUD and DEFENDER_BASE_URL, and whether Microsoft has retired the API.',
    throttled:
      'Another app may be using the same app registration: limits count per application and tenant.',
    incompatible,
    unreachable,
  },
  Tenable: {
    forbidden:
      'Give the Tenable user of the keys the missing permission, or the app the keys of another user.',
    gone: 'The route is gone: check TENABLE_BASE_URL.',
    throttled: 'Another program may be using the same keys: limits count per Tenable user.',
    incompatible,
    unreachable,
  },
}

/** What helps in a state of an upstream. */
export const upstreamFix = (
  name: keyof typeof upstreamFixes,
  state: UpstreamReport['state'],
): string => upstreamFixes[name][state] ?? unreachable

/** What is wrong with an upstream, as one flow sees it. */
export function upstreamProblems(
  name: keyof typeof upstreamFixes,
  { state, lastError }: UpstreamReport,
  flow?: string,
): Problem[] {
  const usual = upstreamFixes[name][state]
  if (!usual) return []
  const { title = '', missing = [] } = lastError ?? {}
  const [first] = missing
  const fix =
    name === 'Defender' && first !== undefined ? `${grantDefender(first, null)} (${LATE})` : usual
  const lacks = first === undefined ? '' : ` (missing: ${missing.join(' or ')})`
  return [{ title: `${flow ? `${flow}: ` : ''}${name} is ${state}: ${title}${lacks}`, fix: fix }]
}

const LATE =
  'tokens show a new role after minutes to a day; GET /api/status?preflight=true looks at once'

/** What is wrong with the export runs. */
export function runProblems(last: ExportsReport['lastRun']): Problem[] {
  if (last?.state !== 'failed') return []
  return [
    {
      title: `Export run ${last.runId} failed: ${last.reason ?? 'no reason is known'}`,
      fix: `GET /api/av-health/exports/${last.runId} shows every file; the next scheduled run begins anew.`,
    },
  ]
}

/** A watch that has not looked for so long has stopped, which is not the same as nothing having happened. */
const SILENT_MS = 15 * MINUTE_MS

/** What is wrong with deliveries. */
export function deliveryProblems(deliveries: DeliveryReport): Problem[] {
  const problems: Problem[] = []
  if (deliveries.dead > 0) {
    const fix =
      'GET /api/subscriptions/{id}/deliveries?state=dead lists them; POST …/replay {"dead": true} sends them again.'
    problems.push({ title: `${deliveries.dead} deliveries were given up`, fix: fix })
  }
  for (const { id, callbackHost } of deliveries.failing) {
    const fix = 'Mend the receiver: what it is owed is kept and tried again.'
    problems.push({ title: `Subscription ${id} to ${callbackHost} is failing`, fix: fix })
  }
  for (const { id, callbackHost, reason } of deliveries.disabled) {
    const fix = `POST /api/subscriptions/${id}/enable once the receiver is mended, or delete it.`
    problems.push({
      title: `Subscription ${id} to ${callbackHost} is disabled: ${reason ?? ''}`,
      fix: fix,
    })
  }
  return problems
}

/** What is wrong with polls. */
export function pollProblems(reports: Record<string, ChangesReport>, now: Date): Problem[] {
  return Object.entries(reports).flatMap(([name, { lastPoll, unknownStates }]) => {
    const problems: Problem[] = []
    if (lastPoll?.error) {
      problems.push({
        title: `The last poll of ${name} failed: ${lastPoll.error}`,
        fix: 'The next poll tries again.',
      })
    }
    if (lastPoll && now.getTime() - Date.parse(lastPoll.startedAt) > SILENT_MS) {
      const fix = 'Check that the function app runs and that its timers are not disabled.'
      problems.push({ title: `No poll of ${name} since ${lastPoll.startedAt}`, fix: fix })
    }
    const unknown = Object.keys(unknownStates)
    if (unknown.length > 0) {
      const fix =
        'They are carried as they are and never taken for an end; a newer version may know them.'
      problems.push({ title: `Unknown states among the ${name}: ${unknown.join(', ')}`, fix: fix })
    }
    return problems
  })
}

/**
 * Message Center post MC1220762: Microsoft's older Defender APIs stop on this day. It does not say which routes are meant,
 * and most that the app asks have no counterpart in Microsoft Graph.
 */
const retirement = { post: 'MC1220762', endsAt: '2027-02-01T00:00:00.000Z' }
/** From then on it stands in the status. */
const NOTICE_DAYS = 120
/** From then on it is an alarm. */
const ALARM_DAYS = 30

/** The end of an endpoint that lies ahead: by the calendar, or by what an upstream says in its answers. */
type ComingEnd =
  | {
      cause: 'date'
      upstream: 'defender'
      post: string
      endsAt: string
      daysLeft: number
      isNear: boolean
    }
  | ({ cause: 'announced'; upstream: 'defender' | 'tenable'; isNear: true } & Announcement)

/** Every end that lies ahead. */
export async function comingEnds(app: App): Promise<ComingEnd[]> {
  const announced = await Promise.all([
    announcedBy('defender', app.defender),
    announcedBy('tenable', app.tenable),
  ])
  return [...byDate(app.clock.now()), ...announced.flat()]
}

function byDate(now: Date): ComingEnd[] {
  const daysLeft = Math.ceil((Date.parse(retirement.endsAt) - now.getTime()) / DAY_MS)
  // Afterwards the answers tell.
  if (daysLeft < 0 || daysLeft > NOTICE_DAYS) return []
  return [
    {
      cause: 'date',
      upstream: 'defender',
      ...retirement,
      daysLeft,
      isNear: daysLeft <= ALARM_DAYS,
    },
  ]
}

async function announcedBy(
  upstream: 'defender' | 'tenable',
  open: () => Promise<{ deprecation: { report(): Promise<Announcement | undefined> } }>,
): Promise<ComingEnd[]> {
  try {
    const announcement = await (await open()).deprecation.report()
    return announcement ? [{ cause: 'announced', upstream, isNear: true, ...announcement }] : []
  } catch (error) {
    if (error instanceof ConfigError) return []
    throw error
  }
}

/** The same in words: nothing is wrong yet. */
export const toNotice = (end: ComingEnd): Problem => ({
  title:
    end.cause === 'date'
      ? `Defender's API may end on ${end.endsAt.slice(0, 10)}, in ${end.daysLeft} days (${end.post})`
      : `${end.upstream === 'defender' ? 'Defender' : 'Tenable'} announces the end of ${end.call}${end.endsAt ? ` on ${end.endsAt.slice(0, 10)}` : ''}`,
  fix: 'Read the announcement, and look for a newer version of this app before that day.',
})

/** Which routes of Defender each flow asks; null where it asks none. */
export const familyOf: Record<GrantedFlow, DefenderFamily | null> = {
  'machine-actions': 'machine-actions',
  investigations: 'investigations',
  'av-health-files': 'export',
  'av-health-pages': 'deviceavinfo',
  'defender-scans': 'authenticated-scans',
  'tenable-scans': null,
}

/** The method of the export under which a flow has nothing to do. */
const unusedWith: Partial<Record<GrantedFlow, string>> = {
  'av-health-files': 'json',
  'av-health-pages': 'files',
}

/** Whether nobody has set a flow up to run. */
export const isUnused = ({ env, isTenableOff }: App, flow: GrantedFlow): boolean =>
  flow === 'tenable-scans'
    ? isTenableOff
    : readUsable(env, avHealthSettings).AV_HEALTH_METHOD === (unusedWith[flow] ?? null)

/** What Defender did to the flows of each section when they last asked it: one that is refused stops no other. */
export async function flowProblems(
  app: App,
): Promise<Record<'changes' | 'scanHistory' | 'avHealth', Problem[]>> {
  const { familyHealth } = await app.defender()
  const problemsOf = async (...flows: GrantedFlow[]) => {
    const problems = flows.map(async (flow) => {
      const family = familyOf[flow]
      if (family === null || isUnused(app, flow)) return []
      return upstreamProblems(
        'Defender',
        await familyHealth[family].report(),
        flowGrants[flow].title,
      )
    })
    return (await Promise.all(problems)).flat()
  }
  const [changes, scanHistory, avHealth] = await Promise.all([
    problemsOf('machine-actions', 'investigations'),
    problemsOf('defender-scans'),
    problemsOf('av-health-files', 'av-health-pages'),
  ])
  return { changes, scanHistory, avHealth }
}
