import type { ChangesReport, StatusProblem } from '../answers.ts'
import { ruleOf } from '../conditions.ts'
import { ago, badge, facts, Page, progress, section, since, type Tone, when } from '../elements.ts'
import { type Content, html, part, type View } from '../html.ts'
import type { ViewProps } from '../load.ts'
import {
  concernedBy,
  isStorageDown,
  type Overview as OverviewAnswer,
  type SectionName,
  type Status,
  sectionNames,
  sectionTitles,
  toneOf,
} from '../problems.ts'
import { linkTo } from '../session.ts'
import { count, plural, span, spell, withTimes } from '../words.ts'

const links: Record<SectionName, string> = {
  changes: linkTo(['actions']),
  avHealth: linkTo(['fleet']),
  scanHistory: linkTo(['scans']),
}

/** What is wrong since when and what to do, what the fleet is like, what runs now, and what comes next. */
export function Overview({ overview: answer }: ViewProps): View {
  return part(Page<OverviewAnswer>, {
    title: 'Overview',
    answer,
    show: (overview) => html`
      ${headline(overview)} ${problems(overview.status)} ${attention(overview)}
      ${running(overview)}
      <div class="cards">${sectionNames.map((name) => flow(name, overview))}</div>
      ${upcoming(overview)} ${notices(overview.status)}
    `,
  })
}

function headline(overview: OverviewAnswer): Content {
  const { overall, problems } = overview.status
  const [tone, text] =
    overall === 'stopped'
      ? ['warn', 'Nothing is set up yet']
      : problems.length > 0
        ? [toneOf(problems), plural(problems.length, 'problem')]
        : isNew(overview)
          ? ['', 'No problem is known, but not everything has run yet']
          : ['good', 'No problem: every flow works']
  return html`<p class=${`headline ${tone}`}>${text}</p>`
}

const notRun: [Tone, string] = ['quiet', 'Not run yet']

/** What speaks against a flow that has no problem: that says little where nothing was tried, or calls fail. */
const doubts: Record<SectionName, (overview: OverviewAnswer) => [Tone, string] | false> = {
  changes: ({ open }) =>
    open !== null && Object.values(open).every(({ lastPoll }) => !lastPoll) && notRun,
  avHealth: ({ runs }) => runs !== null && runs.lastRun === null && notRun,
  scanHistory({ status }) {
    const states = Object.values(status.upstreams).flatMap((one) => (one ? [one.state] : []))
    if (states.some((state) => !(state in upstreamWords))) return ['warn', 'Some calls fail']
    return states.every((state) => state === 'unknown') && ['quiet', 'Not called lately']
  },
}

/** Whether a flow has done nothing yet. */
export const isNew = (overview: OverviewAnswer): boolean =>
  sectionNames.some((name) => doubts[name](overview) === notRun)

function problems(status: Status): Content {
  if (status.problems.length === 0) return null
  return html`<ul class="problems">
    ${status.problems.map((problem) => problemItem(problem, concernedBy(status, problem)))}
  </ul>`
}

const severityTones = { error: 'bad', warning: 'warn', notice: 'info' } as const

function problemItem(problem: StatusProblem, where: string): Content {
  const { title, fix, cause, severity, consequences } = problem
  const place = placeOf(title)
  return html`<li class=${severityTones[severity]}>
    <p class="where">
      ${[spell(severity), where].filter(Boolean).join(' · ')}
      ${problem.since && html` · ${since(problem.since)}`}
    </p>
    <h2>${withTimes(title)}</h2>
    ${!title.includes(cause) && html`<p><strong>Cause:</strong> ${withTimes(cause)}</p>`}
    ${consequences.length > 0 && html`<p class="muted">${withTimes(consequences.join(' · '))}</p>`}
    <p><strong>What to do:</strong> ${fix}</p>
    ${place && html`<p><a href=${place.href}>${place.text}</a></p>`}
  </li>`
}

/** The view of the run or subscription that a problem names: what is to be done can be done there. */
function placeOf(title: string): { href: string; text: string } | undefined {
  const [run] = /\b\d{14}[a-z]{4}\b/.exec(title) ?? []
  if (run) return { href: linkTo(['exports', run]), text: 'Open this run' }
  const [subscription] = /\bsub_\w+/.exec(title) ?? []
  return subscription
    ? { href: linkTo(['deliveries', subscription]), text: 'Open this subscription' }
    : undefined
}

function notices({ notices: found }: Status): Content {
  if (found.length === 0) return null
  const items = found.map((notice) => problemItem(notice, ''))
  return section('Good to know', html`<ul class="problems">${items}</ul>`)
}

/** What an analyst looks for first, each number with the list behind it. */
function attention({ fleet, standing }: OverviewAnswer): Content {
  const of = (dimension: string, value: string) =>
    fleet?.counts ? (fleet.counts[dimension]?.[value] ?? 0) : null
  const whole = fleet && html` <small>of ${count(fleet.devices)}</small>`
  const { isolated = null, selective = 0 } = standing?.counts ?? {}
  const more =
    selective > 0 &&
    html` <small>and <a href=${linkTo(['devices'], { isolation: 'selective' })}>${count(selective)} selectively</a></small>`
  const numbers: [
    name: string,
    value: number | null,
    query: Record<string, string>,
    beside?: Content,
  ][] = [
    ['Isolated now', isolated, { isolation: 'isolated' }, more],
    ['Antivirus disabled', of('mode', 'disabled'), { condition: 'disabled' }],
    ['Signatures stale', of('signature', 'stale'), { condition: 'signature-stale' }],
    ['Quick scan fails', of('quickScan', 'failing'), { condition: 'quick-scan-failing' }],
    ['Not seen lately', of('seen', 'not-seen'), { condition: 'not-seen' }],
  ]
  return html`<dl class="tiles">
    ${numbers.map(([name, value, query, beside = whole]) => {
      const rule = fleet && ruleOf(query.condition, fleet.snapshot)
      return html`<div>
        <dt>${name}</dt>
        <dd>
          ${
            value === null
              ? html`<span class="none">not known</span>`
              : html`<a class="big" href=${linkTo(['devices'], query)}>${count(value)}</a>${beside}`
          }
        </dd>
        ${rule && html`<dd><small>${rule}</small></dd>`}
      </div>`
    })}
  </dl>`
}

/** Filled while a run is at work. */
function running({ runs }: OverviewAnswer): Content {
  const run = runs?.lastRun
  if (!run || run.endedAt) return null
  const before = run.devicesBefore ?? runs.current?.devices
  const label = before
    ? `${count(run.devices)} of about ${plural(before, 'device')}`
    : `${plural(run.devices, 'device')} so far`
  return section(
    'Runs now',
    html`<p>
        <a href=${linkTo(['exports', run.runId])}>Export run ${run.runId}</a>: ${run.state},
        last progress ${when(run.progressAt)}
      </p>
      ${progress(label, run.devices, before ?? 0)}
      ${
        run.waiting &&
        html`<p class="muted">It waits for ${run.waiting.for}, until ${when(run.waiting.until)}.</p>`
      }`,
  )
}

const stateTones: Record<Status['sections']['changes']['state'], [Tone, string]> = {
  ok: ['good', 'Works'],
  degraded: ['warn', 'Has problems'],
  unconfigured: ['quiet', 'Not set up'],
}

function flow(name: SectionName, overview: OverviewAnswer): Content {
  const { state } = overview.status.sections[name]
  const [tone, word] = (state === 'ok' && doubts[name](overview)) || stateTones[state]
  return html`<section class="card">
    <header>
      <h2><a href=${links[name]}>${sectionTitles[name]}</a></h2>
      ${badge(tone, word)}
    </header>
    ${flowFacts[name](overview)}
  </section>`
}

const unset = ({ state }: Status['sections']['changes'], what: string) =>
  html`<p class="muted">
    ${state === 'unconfigured' ? what : 'Not known: see the problem above.'}
  </p>`

const flowFacts: Record<SectionName, (overview: OverviewAnswer) => Content> = {
  changes({ open, waiting: { deliveries }, status: { sections } }) {
    if (!open) return unset(sections.changes, 'Machine actions and investigations are not watched.')
    return facts([
      ...Object.entries(open).map(([name, report]): [string, Content] => [
        `Open ${spell(name).toLowerCase()}`,
        openNow(name, report),
      ]),
      ['Deliveries', deliveries ? waitingFor(deliveries) : 'not known'],
    ])
  },
  avHealth({ runs, status: { sections } }) {
    if (!runs) return unset(sections.avHealth, 'No snapshot of the fleet is taken.')
    const { current, lastRun } = runs
    return facts([
      [
        'Devices',
        current ? html`<strong class="big">${count(current.devices)}</strong>` : 'not known',
      ],
      ['Snapshot', current ? when(current.generatedTime) : 'None is published yet.'],
      [
        'Last run',
        lastRun
          ? html`<a href=${linkTo(['exports', lastRun.runId])}>${lastRun.state}</a>${' '}
              ${when(lastRun.endedAt ?? lastRun.progressAt)}`
          : 'There was none.',
      ],
    ])
  },
  scanHistory({ status }) {
    const missing = isStorageDown(status) ? 'not known' : 'not set up'
    return facts(
      Object.entries(status.upstreams).map(([name, report]) => [
        `Calls to ${spell(name)}`,
        report
          ? html`${upstreamBadge(report.state)}
              ${report.lastOkAt && html`<div class="muted">last good answer ${ago(report.lastOkAt)}</div>`}`
          : missing,
      ]),
    )
  },
}

const upstreamWords: Record<string, [Tone, string]> = {
  ok: ['good', 'answers'],
  unknown: ['quiet', 'not called lately'],
}

export function upstreamBadge(state: string): Content {
  const [tone, word] = upstreamWords[state] ?? ['bad', spell(state).toLowerCase()]
  return badge(tone, word)
}

/** Before the first poll nothing is known: that is not zero. */
function openNow(name: string, report: ChangesReport): Content {
  const { openItems, oldestOpen, lastPoll, lastGoodPollAt } = report
  if (openItems === null) return html`<span class="muted">not known before the first poll</span>`
  const link = linkTo(['actions', name], { show: 'open' })
  return html`<a class="big" href=${link}>${count(openItems)}</a>
    <div class="muted">
      ${oldestOpen && html`oldest from ${ago(oldestOpen.since)}, `}
      ${lastGoodPollAt ? html`as of ${ago(lastGoodPollAt)}` : 'no poll has succeeded'}
      ${lastPoll?.error && html` ${badge('bad', 'the last poll failed')}`}
    </div>`
}

function waitingFor(deliveries: NonNullable<OverviewAnswer['waiting']['deliveries']>): Content {
  const { pending, dead, oldestPendingAt } = deliveries
  const text = `${count(pending)} pending, ${plural(dead, 'dead letter')}`
  return html`<a href=${linkTo(['deliveries'])}>${text}</a>
    ${oldestPendingAt && html`<div class="muted">oldest from ${ago(oldestPendingAt)}</div>`}`
}

/** What the schedules do next. */
function upcoming({ open, runs, waiting: { events } }: OverviewAnswer): Content {
  const lag = Math.max(0, ...Object.values(events ?? {}).map(({ lagSeconds }) => lagSeconds))
  const next: [string, Content | undefined][] = [
    ...Object.entries(open ?? {}).map(([name, report]): [string, Content] => [
      `Poll of ${spell(name).toLowerCase()}`,
      when(report.nextPollAt, 'never'),
    ]),
    ['Export of antivirus health', runs ? when(runs.nextRunAt, 'never') : undefined],
    ['Events wait to be sent for', lag > 0 ? span(lag) : undefined],
  ]
  return next.some(([, value]) => value !== undefined) ? section('Comes next', facts(next)) : null
}
