import type { Environment } from '../platform/config.ts'
import { isTokenError } from '../platform/credential.ts'
import { DAY_MS, HOUR_MS } from '../platform/time.ts'
import type { UpstreamReport } from '../platform/upstream-health.ts'
import { defenderFamilies } from '../upstreams/limits-and-roles.ts'
import type { Facts } from './facts.ts'
import { grantDefender } from './fixes.ts'
import { type Flow, flows } from './flows.ts'
import type { Findings, FoundProblem, ProblemCode } from './problem-codes.ts'

type Upstream = 'Defender' | 'Tenable'
type State = UpstreamReport['state']

export const unreachable =
  'Check the network of the function app and the health of the service; the app tries again by itself.'
const FAILING = 'Check the health of the service; the app tries again by itself.'
const incompatible =
  'The service does not take the calls of this version: check its base URL, and look for a newer version of this app.'
const fixes: Record<Upstream, Partial<Record<State, string>>> = {
  Defender: {
    'no-identity':
      'Give the app an identity and set AZURE_CLIENT_ID to its client id; on a laptop sign in with az login.',
    forbidden:
      'Check the licence (Defender for Endpoint Plan 2), the device groups and rights of the identity in the Defender portal, and DEFENDER_CLOUD and DEFENDER_AUDIENCE.',
    gone: 'The route is gone: check DEFENDER_CLOUD and DEFENDER_BASE_URL, and whether Microsoft has retired the API.',
    throttled:
      'The app waits and tries again by itself. If it lasts, another app may be using the same app registration: limits count per application and tenant.',
    incompatible,
  },
  Tenable: {
    forbidden:
      'Give the Tenable user of the keys the missing permission, or the app the keys of another user.',
    gone: 'The route is gone: check TENABLE_BASE_URL.',
    throttled:
      'The app waits and tries again by itself. If it lasts, another program may be using the same keys: limits count per Tenable user.',
    incompatible,
  },
}

export const upstreamFix = (name: Upstream, state: State) => fixes[name][state] ?? unreachable

const LATE =
  'tokens show a new role after minutes to a day; GET /api/status?preflight=true checks at once'

/** The export is called twice a day, and falls back to other routes where its own is gone. */
const GONE_MS = DAY_MS
/** A route that answers 404 is retired when it has answered nothing else for so long. */
const RETIRED_MS = 2 * HOUR_MS

function codeOf({ state, lastError }: UpstreamReport, now: Date): ProblemCode | undefined {
  if (state === 'ok' || state === 'unknown') return undefined
  if (state !== 'gone') return state
  const atMs = Date.parse(lastError?.at ?? '')
  const isRetired =
    now.getTime() - atMs < GONE_MS && atMs - Date.parse(lastError?.since ?? '') >= RETIRED_MS
  return isRetired ? 'route-gone' : 'route-not-found'
}

/** What the last calls of one flow, or of one upstream, say. */
function describe(name: Upstream, report: UpstreamReport, roles: readonly string[]) {
  const { state, lastError } = report
  const { title: cause = '', missing = [], status, since = null } = lastError ?? {}
  const who = isTokenError(cause) ? 'The token endpoint' : name
  const titles: Partial<Record<State, string>> = {
    'no-identity': `The app has no identity for ${name}`,
    forbidden: `${who} refuses the app`,
    gone: `${who} has no such route`,
    throttled: `${who} allows no more calls for now`,
    incompatible: `${who} does not take the calls of this version`,
  }
  const isReached = state === 'unreachable' && (status ?? 0) >= 500
  const texts = {
    title: titles[state] ?? `${who} ${isReached ? 'answers with errors' : 'is unreachable'}`,
    cause,
    since,
    fix: isReached ? FAILING : upstreamFix(name, state),
  }
  if (state !== 'forbidden') return texts
  const [first] = missing
  if (first !== undefined) {
    const fix = name === 'Defender' ? `${grantDefender(first, null)} (${LATE})` : texts.fix
    return { ...texts, title: `${texts.title} (missing: ${missing.join(' or ')})`, fix }
  }
  if (status !== 403 || roles.length === 0) return texts
  return {
    ...texts,
    title: `${texts.title}, although its token has the role`,
    cause: `${cause}; the token has ${roles.join(' or ')}, so something else refuses`,
  }
}

/** What is wrong with the upstreams; answers the problems that stop a flow, by its key. */
export function findUpstreamProblems({ add }: Findings, facts: Facts, env: Environment) {
  const roots = new Map<string, FoundProblem>()
  const used = flows.filter((flow) => !flow.isUnused(env))
  for (const { key, section, title, family } of used) {
    const name = family ? 'Defender' : 'Tenable'
    const report = (family ? facts.defender : facts.tenable).value?.families[
      family?.name ?? 'scans'
    ]
    if (!report) continue
    const { hourLeft, stoppedUntil } = report
    const code = codeOf(report, facts.now)
    const texts = describe(name, report, family?.roles ?? [])
    const consequences = [`${title}: no calls succeed`]
    if (key === 'av-health-files' && BY_PAGES.includes(code) && isReadByPages(used, facts)) {
      add('export-by-pages', [section], {
        ...texts,
        title: `Antivirus health is read page by page: ${texts.title}`,
        fix: `Nothing, or AV_HEALTH_METHOD=json: then files are not tried. For files: ${texts.fix}`,
      })
      continue
    }
    if (code) {
      const problem = add(
        code,
        [section],
        { ...texts, consequences },
        `${texts.title} ${texts.fix}`,
      )
      if (problem.severity === 'error') roots.set(key, problem)
    }
    if (code !== 'throttled' && (hourLeft === 0 || stoppedUntil))
      add('throttled', [section], {
        title: `The calls to ${name} are used up`,
        cause: stoppedUntil ? `no call until ${stoppedUntil}` : 'no call is left in this hour',
        fix: upstreamFix(name, 'throttled'),
        consequences,
      })
  }
  for (const [name, sections, value] of [
    ['Defender', ['changes', 'scanHistory', 'avHealth'], facts.defender.value],
    ['Tenable', ['scanHistory'], facts.tenable.value],
  ] as const) {
    const { call, endsAt } = value?.ending ?? {}
    if (call !== undefined)
      add('route-ending', [...sections], {
        title: `${name} announces the end of ${call}${endsAt ? ` on ${endsAt.slice(0, 10)}` : ''}`,
        cause: 'Its answers have a Sunset or Deprecation header.',
        fix: 'Read the announcement, and look for a newer version of this app before that day.',
      })
  }
  return roots
}

/** With these, the export goes on without its files: then their route is only a better way. */
const BY_PAGES: (ProblemCode | undefined)[] = ['forbidden', 'incompatible', 'route-not-found']

const isReadByPages = (used: readonly Flow[], { defender }: Facts) =>
  used.some((flow) => flow.key === 'av-health-pages') &&
  defender.value?.families[defenderFamilies.avInfo.name]?.state === 'ok'
