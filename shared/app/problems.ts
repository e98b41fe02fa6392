import type { App } from '../app.ts'
import { storageProblem } from '../platform/error-responses.ts'
import type { SettingProblem } from '../platform/errors.ts'
import { MINUTE_MS, SECOND_MS } from '../platform/time.ts'
import type { Facts, Loaded } from './facts.ts'
import { pollProblems, runProblems } from './flow-problems.ts'
import { type Found, makeFound, type SectionName, severities } from './problem-codes.ts'
import { upstreamProblems } from './upstream-problems.ts'

/** What each part of the facts is for, and the sections of the status that it concerns. */
const parts: [keyof Facts, what: string, sections: SectionName[]][] = [
  ['defender', 'calls to Defender', ['changes', 'scanHistory', 'avHealth']],
  ['tenable', 'look-ups of Tenable scans', ['scanHistory']],
  ['scanHistory', 'look-ups of scans', ['scanHistory']],
  ['changes', 'polls', ['changes']],
  ['events', 'events and deliveries', ['changes']],
  ['avHealth', 'antivirus health', ['avHealth']],
  ['tickets', 'tickets', []],
]

/** All problems that the facts show, the worst first. One cause makes one; what follows from it is listed under it. */
export function findProblems(
  facts: Facts,
  { env, isTenableOff }: Pick<App, 'env' | 'isTenableOff'>,
) {
  const upstreams = upstreamProblems(facts, env)
  // Without any key Tenable is off; with only one of its settings it is a mistake.
  const loaded = parts.filter(([part]) => part !== 'tenable' || !isTenableOff)
  const found = [
    ...lostProblems(facts, loaded),
    ...upstreams.found,
    ...pollProblems(facts, upstreams.byFlow),
    ...runProblems(facts, upstreams.byFlow),
    ...deliveryProblems(facts),
  ]
  const rank = ({ severity }: Found) => severities.indexOf(severity)
  return found.sort((one, other) => rank(one) - rank(other))
}

/** What could not be read: wrong settings, the data account, its rows. Each once, with all parts that lack it. */
function lostProblems(facts: Facts, loaded: typeof parts): Found[] {
  const found = new Map<string, Found>()
  const add = (key: string, sections: SectionName[], consequence: string, make: () => Found) => {
    const problem = found.get(key) ?? make()
    found.set(key, problem)
    problem.sections = [...new Set([...problem.sections, ...sections])]
    problem.consequences.push(consequence)
  }
  for (const [part, what, sections] of loaded) {
    const { missing, failure } = facts[part] as Loaded<unknown>
    for (const problem of missing?.problems ?? [])
      add(problem.setting, sections, `${what}: off`, () => settingProblem(problem))
    if (failure?.code === 'storage-unreachable')
      add(failure.code, sections, `${what}: not read`, () =>
        makeFound(failure.code, [], {
          ...storageProblem,
          cause: `RELAY_STORAGE: ${failure.reason}`,
          consequences: [],
        }),
      )
    if (failure?.code === 'rows-unreadable')
      add(failure.code, sections, `${what}: not read`, () =>
        makeFound(failure.code, [], {
          title: 'Stored rows can not be read',
          cause: failure.reason,
          fix: 'Report it with the log, unless a newer version of the app wrote them.',
          consequences: [],
        }),
      )
  }
  return [...found.values()]
}

const settingProblem = ({ setting, problem, fix }: SettingProblem) =>
  makeFound('setting-wrong', [], {
    title: `${setting} ${problem}`,
    cause: `the value of ${setting} in the settings of the app`,
    fix: fix ?? `Set ${setting} in the settings of the function app.`,
    consequences: [],
  })

/** An event that is not dispatched after this time, or a delivery that is not posted, is late. */
const LATE_MS = 10 * MINUTE_MS
/** A receiver that fails for less time may only be restarting. */
const FAILING_MS = 5 * MINUTE_MS

export function deliveryProblems({ events, now }: Pick<Facts, 'events' | 'now'>): Found[] {
  if (!events.value) return []
  const { dead, unreadable, failing, disabled, paused, waiting } = events.value.deliveries
  const found: Found[] = []
  const add = (code: Found['code'], texts: Parameters<typeof makeFound>[2]) =>
    found.push(makeFound(code, ['changes'], texts))
  const ageOf = (since: string | null) => now.getTime() - Date.parse(since ?? '')
  if (dead > 0)
    add('dead-letters', {
      title: `${dead} ${dead === 1 ? 'delivery is a dead letter' : 'deliveries are dead letters'}`,
      cause: 'Their receivers failed for days or refused them, or their events expired first.',
      fix: 'GET /api/subscriptions/{id}/deliveries?state=dead lists them; POST …/replay {"dead": true} sends them again.',
    })
  for (const { id, callbackHost, since, reason } of failing)
    add(ageOf(since) < FAILING_MS ? 'subscription-retrying' : 'subscription-failing', {
      title: `Subscription ${id} to ${callbackHost} is failing: ${reason ?? ''}`,
      since,
      cause: `the last answer of ${callbackHost}: ${reason ?? 'none'}`,
      fix: 'Fix the receiver: its pending deliveries are kept and tried again.',
    })
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
    ...waiting.flatMap(({ id, callbackHost, since }) =>
      ageOf(since) > LATE_MS ? { what: `deliveries to ${callbackHost} (${id})`, since } : [],
    ),
    ...Object.entries(events.value.streams).flatMap(([stream, { lagSeconds }]) => {
      const since = new Date(now.getTime() - lagSeconds * SECOND_MS).toISOString()
      return ageOf(since) > LATE_MS ? { what: `events of ${stream}`, since } : []
    }),
  ]
  const [since] = late.map((one) => one.since).sort()
  if (since !== undefined)
    add('deliveries-late', {
      title: `Deliveries wait since ${since}`,
      since,
      cause: 'The queue triggers or the timer dispatch-events do not run.',
      fix: 'Restart the function app, and check that its functions are not disabled.',
      consequences: late.map(({ what, since }) => `${what}: waiting since ${since}`),
    })
  if (unreadable > 0)
    add('rows-unreadable', {
      title: `${unreadable} rows of subscriptions or deliveries can't be read and are skipped`,
      cause: 'Another version of the app, or somebody else, wrote them.',
      fix: 'Delete them in tables Subscriptions and Deliveries, and subscribe again where one is missing.',
    })
  return found
}
