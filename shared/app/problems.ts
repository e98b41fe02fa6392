import { z } from 'zod'
import type { App } from '../app.ts'
import type { ChangesReport } from '../changes/poll-state.ts'
import { SECRET_MISSING } from '../events/subscriptions/subscription.ts'
import type { DeliveryReport } from '../events/subscriptions/view.ts'
import { type ExportsReport, STILL_MS } from '../exports/view.ts'
import { isIdentityFailure, isStorageFailure } from '../platform/azure-table.ts'
import { isTokenError } from '../platform/credential.ts'
import { storageProblemOf } from '../platform/error-responses.ts'
import { ConfigError } from '../platform/errors.ts'
import { DAY_MS, MINUTE_MS } from '../platform/time.ts'
import type { DeprecationMonitor, UpstreamReport } from '../platform/upstream-health.ts'
import { grantDefender } from './fixes.ts'
import { type Flow, flows } from './flows.ts'

/** Something that is wrong, and what the operator can do about it. */
export const problemSchema = z.strictObject({ title: z.string(), fix: z.string() })
export type Problem = z.infer<typeof problemSchema>

/** A value for a report, or why there is none. */
export interface Loaded<T> {
  value: T | null
  missing: ConfigError | null
  /** The data account did not answer, or no identity is signed in to use it. */
  isStorageDown: boolean
}

/** Loads a value for a report; a missing setting or a failure of the data account does not throw. */
export async function tryLoad<T>(make: () => Promise<T>): Promise<Loaded<T>> {
  const failed = { value: null, missing: null, isStorageDown: false }
  try {
    return { ...failed, value: await make() }
  } catch (error) {
    if (error instanceof ConfigError) return { ...failed, missing: error }
    if (isStorageFailure(error) || isIdentityFailure(error))
      return { ...failed, isStorageDown: true }
    throw error
  }
}

export const settingProblems = ({ problems }: ConfigError): Problem[] =>
  problems.map(({ setting, problem, fix }) => ({
    title: `${setting} ${problem}`,
    fix: fix ?? `Set ${setting} in the settings of the function app.`,
  }))

export const unreachable =
  'Check the network of the function app and the health of the service; the app tries again by itself.'
const incompatible =
  'The service does not take the calls of this version: check its base URL, and look for a newer version of this app.'
const upstreamFixes: Record<
  'Defender' | 'Tenable',
  Partial<Record<UpstreamReport['state'], string>>
> = {
  Defender: {
    'no-identity':
      'Give the app an identity and set AZURE_CLIENT_ID to its client id; on a laptop sign in with az login.',
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

export const upstreamFix = (name: keyof typeof upstreamFixes, state: UpstreamReport['state']) =>
  upstreamFixes[name][state] ?? unreachable

/** What is wrong with an upstream, or with one flow that calls it. */
export function upstreamProblems(
  name: keyof typeof upstreamFixes,
  { state, lastError }: UpstreamReport,
  flow?: string,
): Problem[] {
  const general = upstreamFixes[name][state]
  if (!general) return []
  const { title = '', missing = [] } = lastError ?? {}
  const [first] = state === 'no-identity' ? [] : missing
  const fix =
    name === 'Defender' && first !== undefined ? `${grantDefender(first, null)} (${LATE})` : general
  const lacks = first === undefined ? '' : ` (missing: ${missing.join(' or ')})`
  const who = isTokenError(title) ? 'the token endpoint' : name
  return [{ title: `${flow ? `${flow}: ` : ''}${who} is ${state}: ${title}${lacks}`, fix }]
}

const LATE =
  'tokens show a new role after minutes to a day; GET /api/status?preflight=true checks at once'

export function runProblems(report: ExportsReport | null, now: Date): Problem[] {
  const { lastRun: last, skippedRows = [] } = report ?? {}
  const problems: Problem[] = []
  if (last?.state === 'failed') {
    const run = `/api/av-health/exports/${last.runId}`
    problems.push({
      title: `Export run ${last.runId} failed: ${last.reason ?? 'no reason is known'}`,
      fix:
        last.guard && last.devices > 0
          ? `Compare with the Defender portal; POST ${run}/publish publishes it within 24 hours.`
          : `GET ${run} shows every file; the next scheduled run starts again.`,
    })
  }
  if (last?.waiting && now.getTime() - Date.parse(last.progressAt) >= STILL_MS)
    problems.push({
      title: `Export run ${last.runId} stands still since ${last.progressAt}: it waits for ${last.waiting.for}`,
      fix: `Nothing: it continues by itself at ${last.waiting.until} at the latest.`,
    })
  if (skippedRows.length > 0)
    problems.push({
      title: `Rows of table Exports can't be read: ${skippedRows.slice(0, 3).join(', ')}`,
      fix: 'Delete them, unless a newer version of the app wrote them.',
    })
  return problems
}

/** After so long without a poll, polling has stopped, which is not the same as no changes. */
const STOPPED_MS = 15 * MINUTE_MS

export function deliveryProblems({
  dead,
  unreadable,
  failing,
  disabled,
  paused,
}: DeliveryReport): Problem[] {
  const problems = [
    // Those without secrets are problems by themselves.
    ...failing
      .filter(({ reason }) => reason !== SECRET_MISSING)
      .map(({ id, callbackHost, reason }) => ({
        title: `Subscription ${id} to ${callbackHost} is failing: ${reason ?? ''}`,
        fix: 'Fix the receiver: its pending deliveries are kept and tried again.',
      })),
    ...disabled.map(({ id, callbackHost, reason }) => ({
      title: `Subscription ${id} to ${callbackHost} is disabled: ${reason ?? ''}`,
      fix: `POST /api/subscriptions/${id}/enable once the receiver is fixed, or delete it.`,
    })),
    ...paused.map(({ id, callbackHost, until }) => ({
      title: `Subscription ${id} to ${callbackHost} is paused until ${until}: the receiver asked for it`,
      fix: `Nothing, or POST /api/subscriptions/${id}/enable: that ends the pause.`,
    })),
  ]
  if (unreadable > 0)
    problems.push({
      title: `${unreadable} rows of subscriptions or deliveries can't be read and are skipped`,
      fix: 'Delete them in tables Subscriptions and Deliveries, and subscribe again where one is missing.',
    })
  if (dead === 0) return problems
  const what = dead === 1 ? 'delivery is a dead letter' : 'deliveries are dead letters'
  const fix =
    'GET /api/subscriptions/{id}/deliveries?state=dead lists them; POST …/replay {"dead": true} sends them again.'
  return [{ title: `${dead} ${what}`, fix }, ...problems]
}

/** Subscriptions that have lost their secrets, or an account that does not say which. */
export function secretProblems({
  value,
  isStorageDown,
}: Loaded<{ id: string; callbackHost: string }[]>): Problem[] {
  if (isStorageDown) return [storageProblemOf('secrets')]
  return (value ?? []).map(({ id, callbackHost }) => ({
    title: `The callback URL and the secret of subscription ${id} to ${callbackHost} are missing in table Secrets`,
    fix: 'Subscribe its callback URL again: that answers a new secret, and its pending events are delivered.',
  }))
}

export function pollProblems(reports: Record<string, ChangesReport>, now: Date): Problem[] {
  return Object.entries(reports).flatMap(([name, { lastPoll, openItems, unknownStates }]) => {
    const problems: Problem[] = []
    if (lastPoll?.error) {
      const title = `The last poll of ${name} failed: ${lastPoll.error}`
      problems.push({ title, fix: 'The next poll tries again.' })
    }
    if (lastPoll?.missing) {
      const title = `Defender does not know ${lastPoll.missing} of ${openItems} open ${name}, all at once`
      problems.push({ title, fix: 'None counts as gone. Check in the portal whether they exist.' })
    }
    if (lastPoll && now.getTime() - Date.parse(lastPoll.startedAt) > STOPPED_MS) {
      const fix = 'Check that the function app runs and that its timers are not disabled.'
      problems.push({ title: `No poll of ${name} since ${lastPoll.startedAt}`, fix })
    }
    const unknown = Object.keys(unknownStates)
    if (unknown.length > 0) {
      const fix =
        'Events carry them unchanged, and they never count as terminal; a newer version may know them.'
      problems.push({ title: `Unknown states among the ${name}: ${unknown.join(', ')}`, fix })
    }
    return problems
  })
}

/**
 * Message Center post MC1220762: Microsoft's older Defender APIs stop on this day. It does not say which routes it means,
 * and most routes that the app calls have no counterpart in Microsoft Graph.
 */
const retirement = { post: 'MC1220762', endsAt: '2027-02-01T00:00:00.000Z' }
/** From so many days before the status shows the end, and an alert fires. */
const NOTICE_DAYS = 120
const ALERT_DAYS = 30

/** Every coming end of an endpoint: known by its date, or announced in the answers of an upstream. */
export async function comingEnds(app: App) {
  const announced = await Promise.all([
    announcedBy('defender', app.defender),
    announcedBy('tenable', app.tenable),
  ])
  return [...byDate(app.clock.now()), ...announced.flat()]
}

function byDate(now: Date) {
  const daysLeft = Math.ceil((Date.parse(retirement.endsAt) - now.getTime()) / DAY_MS)
  // After that day the answers show it.
  if (daysLeft < 0 || daysLeft > NOTICE_DAYS) return []
  const isNear = daysLeft <= ALERT_DAYS
  return [{ cause: 'date' as const, upstream: 'defender', ...retirement, daysLeft, isNear }]
}

async function announcedBy(
  upstream: 'defender' | 'tenable',
  open: () => Promise<{ deprecation: DeprecationMonitor }>,
) {
  const { value } = await tryLoad(async () => (await open()).deprecation.report())
  return value ? [{ cause: 'announced' as const, upstream, isNear: true, ...value }] : []
}

/** A coming end in words: nothing is wrong yet. */
export const toNotice = (end: Awaited<ReturnType<typeof comingEnds>>[number]): Problem => ({
  title:
    end.cause === 'date'
      ? `Defender's API may end on ${end.endsAt.slice(0, 10)}, in ${end.daysLeft} days (${end.post})`
      : `${end.upstream === 'defender' ? 'Defender' : 'Tenable'} announces the end of ${end.call}${end.endsAt ? ` on ${end.endsAt.slice(0, 10)}` : ''}`,
  fix: 'Read the announcement, and look for a newer version of this app before that day.',
})

/** What the last calls of each flow to Defender say, by section: one flow that is refused stops no other. */
export async function flowProblems(app: App): Promise<Record<Flow['section'], Problem[]>> {
  const { healthFor } = await app.defender()
  const found: Record<Flow['section'], Problem[]> = { changes: [], scanHistory: [], avHealth: [] }
  const used = flows.filter(({ isUnused }) => !isUnused(app.env))
  const reports = await Promise.all(
    used.map(({ family }) => (family ? healthFor(family).report() : undefined)),
  )
  for (const [index, { section, title }] of used.entries()) {
    const report = reports[index]
    if (report) found[section].push(...upstreamProblems('Defender', report, title))
  }
  return found
}
