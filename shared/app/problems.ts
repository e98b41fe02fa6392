import type { App } from '../app.ts'
import { SECRET_MISSING } from '../events/subscriptions/subscription.ts'
import { storageProblemOf, storageSettings } from '../platform/error-responses.ts'
import { MINUTE_MS, SECOND_MS } from '../platform/time.ts'
import type { Facts, Loaded } from './facts.ts'
import { findPollProblems, findRunProblems } from './flow-problems.ts'
import {
  createFindings,
  type Findings,
  type ProblemCode,
  type SectionName,
} from './problem-codes.ts'
import { findUpstreamProblems } from './upstream-problems.ts'

/** What each part of the facts is for, and the sections of the status that it concerns. */
const parts: [keyof Facts, what: string, sections: SectionName[]][] = [
  ['defender', 'calls to Defender', ['changes', 'scanHistory', 'avHealth']],
  ['tenable', 'look-ups of Tenable scans', ['scanHistory']],
  ['scanHistory', 'look-ups of scans', ['scanHistory']],
  ['changes', 'polls', ['changes']],
  ['events', 'events and deliveries', ['changes']],
  ['secrets', 'callback URLs and download links (RELAY_SECRETS)', ['changes', 'avHealth']],
  ['avHealth', 'antivirus health', ['avHealth']],
  ['tickets', 'tickets', []],
]

/** All problems that the facts show. One cause makes one; what follows from it is listed under it. */
export function findProblems(
  facts: Facts,
  { env, isTenableOff }: Pick<App, 'env' | 'isTenableOff'>,
) {
  const findings = createFindings()
  // Without any key Tenable is off; with only one of its settings it is a mistake.
  findLost(findings, facts, isTenableOff ? parts.filter(([part]) => part !== 'tenable') : parts)
  const roots = findUpstreamProblems(findings, facts, env)
  findPollProblems(findings, facts, roots)
  findRunProblems(findings, facts, roots)
  findDeliveryProblems(findings, facts)
  return findings.all()
}

/** What could not be read: wrong settings, the data account, its rows. */
function findLost({ add }: Findings, facts: Facts, loaded: typeof parts) {
  for (const [part, what, sections] of loaded) {
    const { missing, failure } = facts[part] as Loaded<unknown>
    for (const { setting, problem, fix } of missing?.problems ?? [])
      add('setting-wrong', sections, {
        title: `${setting} ${problem}`,
        cause: `the value of ${setting} in the settings of the app`,
        fix: fix ?? `Set ${setting} in the settings of the function app.`,
        consequences: [`${what}: off`],
      })
    const consequences = [`${what}: not read`]
    if (failure?.code === 'storage-unreachable') {
      const of = part === 'secrets' && !facts.events.failure ? 'secrets' : 'data'
      add(failure.code, sections, {
        ...storageProblemOf(of),
        cause: `${storageSettings[of]}: ${failure.reason}`,
        consequences,
      })
    }
    if (failure?.code === 'rows-unreadable')
      add(failure.code, sections, {
        title: 'Stored rows can not be read',
        cause: failure.reason,
        fix: 'Report it with the log, unless a newer version of the app wrote them.',
        consequences,
      })
  }
}

/** An event that is not dispatched after this time, or a delivery that is not posted, is late. */
const LATE_MS = 10 * MINUTE_MS
/** A receiver that fails for less time may only be restarting. */
const FAILING_MS = 5 * MINUTE_MS

export function findDeliveryProblems(
  findings: Findings,
  { events, secrets, now }: Pick<Facts, 'events' | 'secrets' | 'now'>,
) {
  if (!events.value) return
  const { dead, unreadable, failing, disabled, paused, waiting } = events.value.deliveries
  const add = (code: ProblemCode, texts: Parameters<Findings['add']>[2]) =>
    findings.add(code, ['changes'], texts)
  const ageOf = (since: string | null) => now.getTime() - Date.parse(since ?? '')
  if (dead > 0)
    add('dead-letters', {
      title: `${dead} ${dead === 1 ? 'delivery is a dead letter' : 'deliveries are dead letters'}`,
      cause: 'Their receivers failed for days or refused them, or their events expired first.',
      fix: 'GET /api/subscriptions/{id}/deliveries?state=dead lists them; POST …/replay {"dead": true} sends them again.',
    })
  for (const { id, callbackHost } of secrets.value ?? [])
    add(SECRET_MISSING, {
      title: `Subscription ${id} to ${callbackHost} has lost its callback URL and its secret`,
      cause: `Table Secrets has no row for ${id}.`,
      fix: 'Subscribe its callback URL again: that answers a new secret, and its pending events are delivered.',
    })
  for (const { id, callbackHost, since, reason } of failing) {
    if (reason === SECRET_MISSING) continue
    add(ageOf(since) < FAILING_MS ? 'subscription-retrying' : 'subscription-failing', {
      title: `Subscription ${id} to ${callbackHost} is failing: ${reason ?? ''}`,
      since,
      cause: `the last answer of ${callbackHost}: ${reason ?? 'none'}`,
      fix: 'Fix the receiver: its pending deliveries are kept and tried again.',
    })
  }
  for (const { id, callbackHost, since, reason } of disabled)
    add('subscription-disabled', {
      title: `Subscription ${id} to ${callbackHost} is disabled: ${reason ?? ''}`,
      since,
      cause: `the last answer of ${callbackHost}: ${reason ?? 'none'}`,
      fix: `POST /api/subscriptions/${id}/enable once the receiver is fixed, or delete it.`,
    })
  for (const { id, callbackHost, until, since } of paused)
    add('subscription-paused', {
      title: `Subscription ${id} to ${callbackHost} is paused until ${until}: the receiver asked for it`,
      since,
      cause: `${callbackHost} answered with Retry-After`,
      fix: `Nothing, or POST /api/subscriptions/${id}/enable: that ends the pause.`,
    })
  const late = [
    ...waiting.map(({ id, callbackHost, since }) => ({ what: `${id} to ${callbackHost}`, since })),
    ...Object.entries(events.value.streams).map(([stream, { lagSeconds }]) => ({
      what: `events of ${stream}`,
      since: new Date(now.getTime() - lagSeconds * SECOND_MS).toISOString(),
    })),
  ]
  for (const { what, since } of late)
    if (ageOf(since) > LATE_MS)
      add('deliveries-late', {
        title: 'Deliveries wait, and their receivers do not fail',
        since,
        cause: 'The queue triggers or the timer dispatch-events do not run.',
        fix: 'Restart the function app, and check that its functions are not disabled.',
        consequences: [`${what}: waiting since ${since}`],
      })
  if (unreadable > 0)
    add('rows-unreadable', {
      title: `${unreadable} rows of subscriptions or deliveries can't be read and are skipped`,
      cause: 'Another version of the app, or somebody else, wrote them.',
      fix: 'Delete them in tables Subscriptions and Deliveries, and subscribe again where one is missing.',
    })
}
