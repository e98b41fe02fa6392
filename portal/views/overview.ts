import type { Answers, ChangesReport } from '../answers.ts'
import { ago, badge, facts, Page, progress, section, type Tone, when } from '../elements.ts'
import { type Content, html, part, type View } from '../html.ts'
import { useAnswer, type ViewProps } from '../load.ts'
import {
  type DetailedProblem,
  isStorageDown,
  problemsOf,
  type SectionName,
  sectionNames,
  sectionTitles,
} from '../problems.ts'
import { linkTo } from '../session.ts'
import { count, plural, span, spell } from '../words.ts'

type Status = Answers['GET /status']

const links: Record<SectionName, string> = {
  changes: linkTo(['actions']),
  avHealth: linkTo(['fleet']),
  scanHistory: linkTo(['scans']),
}

type OverviewAnswer = Answers['GET /overview']

/** What is wrong since when and what to do, what the fleet is like, what runs now, and what comes next. */
export function Overview({ status }: ViewProps): View {
  const answer = useAnswer('GET /overview')
  return part(Page<OverviewAnswer>, {
    title: 'Overview',
    answer,
    show: (overview) => {
      const data = toStatus(overview, status.data)
      return html`
        ${headline(data)} ${problems(data)} ${attention(overview)} ${running(data)}
        <div class="cards">${sectionNames.map((name) => flow(name, data))}</div>
        ${upcoming(data)} ${notices(data)}
      `
    },
  })
}

/** The overview has the members of the status under its own names; only upstreams are not there. */
const toStatus = ({ status, open, runs, waiting }: OverviewAnswer, known: Status | undefined) =>
  ({
    upstreams: known?.upstreams ?? {},
    ...status,
    changes: open,
    avHealth: runs,
    ...(waiting as object),
  }) as unknown as Status

/** What an analyst looks for first, each number with the list behind it. */
function attention({ fleet, standing }: OverviewAnswer): Content {
  const { counts } = (fleet ?? {}) as Partial<Answers['GET /av-health/summary']>
  const held = standing?.counts
  const of = (dimension: string, value: string) =>
    counts?.[dimension]?.[value] ?? (counts ? 0 : null)
  const numbers: [name: string, value: number | null, query: Record<string, string>][] = [
    ['Isolated now', held?.isolated ?? null, { isolation: 'isolated' }],
    ['Antivirus disabled', of('mode', 'disabled'), { condition: 'disabled' }],
    ['Signatures stale', of('signature', 'stale'), { condition: 'signature-stale' }],
    ['Quick scan fails', of('quickScan', 'failing'), { condition: 'quick-scan-failing' }],
    ['Not seen lately', of('seen', 'not-seen'), { condition: 'not-seen' }],
  ]
  return html`<dl class="tiles">
    ${numbers.map(
      ([name, value, query]) => html`<div>
        <dt>${name}</dt>
        <dd>
          ${
            value === null
              ? html`<span class="none">not known</span>`
              : html`<a class="big" href=${linkTo(['devices'], query)}>${count(value)}</a>`
          }
        </dd>
      </div>`,
    )}
  </dl>`
}

const stateTones: Record<Status['sections']['changes']['state'], [Tone, string]> = {
  ok: ['good', 'Works'],
  degraded: ['warn', 'Has problems'],
  unconfigured: ['quiet', 'Not set up'],
}

function headline(status: Status): Content {
  const number = problemsOf(status).length
  const text =
    status.overall === 'stopped'
      ? 'Nothing is set up yet'
      : number === 0
        ? 'The app works'
        : plural(number, 'problem')
  return html`<p class=${`headline ${number === 0 ? 'good' : 'warn'}`}>${text}</p>`
}

function problems(status: Status): Content {
  const rows = problemsOf(status)
  if (rows.length === 0) return null
  return html`<ul class="problems">
    ${rows.map(({ where, problem }) => problemItem(where, problem))}
  </ul>`
}

function notices({ notices: found }: Status): Content {
  if (found.length === 0) return null
  return section(
    'Good to know',
    html`<ul class="problems">
      ${found.map((notice) => problemItem('', notice, 'notice'))}
    </ul>`,
  )
}

const severityTones: Record<string, Tone> = { error: 'bad', warning: 'warn', notice: 'info' }

function problemItem(where: string, problem: DetailedProblem, usual = 'warning'): Content {
  const { title, fix, since, cause, severity = usual, consequences = [] } = problem
  return html`<li class=${severityTones[severity]}>
    <p class="where">
      ${[severity === 'notice' ? '' : spell(severity), where].filter(Boolean).join(' · ')}
      ${since && html` <span>since ${when(since)}</span>`}
    </p>
    <h2>${title}</h2>
    ${cause && html`<p>${cause}</p>`}
    ${consequences.map((one) => html`<p>${one}</p>`)}
    <p><strong>What to do:</strong> ${fix}</p>
  </li>`
}

/** Filled while a run is at work. */
function running({ avHealth }: Status): Content {
  const run = avHealth?.lastRun
  if (!run || run.endedAt) return null
  const before = run.devicesBefore ?? avHealth.current?.devices
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

function flow(name: SectionName, status: Status): Content {
  const [tone, word] = stateTones[status.sections[name].state]
  return html`<section class="card">
    <header>
      <h2><a href=${links[name]}>${sectionTitles[name]}</a></h2>
      ${badge(tone, word)}
    </header>
    ${flowFacts[name](status)}
  </section>`
}

const unset = ({ state }: Status['sections']['changes'], what: string) =>
  html`<p class="muted">
    ${state === 'unconfigured' ? what : 'Not known: see the problem above.'}
  </p>`

const flowFacts: Record<SectionName, (status: Status) => Content> = {
  changes({ changes, deliveries, sections: found }) {
    if (!changes) return unset(found.changes, 'Machine actions and investigations are not watched.')
    return facts([
      ...Object.entries(changes).map(([name, report]): [string, Content] => [
        `Open ${spell(name).toLowerCase()}`,
        openNow(name, report),
      ]),
      ['Deliveries', deliveries ? waiting(deliveries) : 'not known'],
    ])
  },
  avHealth({ avHealth, sections: found }) {
    if (!avHealth) return unset(found.avHealth, 'No snapshot of the fleet is taken.')
    const { current, lastRun } = avHealth
    return facts([
      ['Devices', current ? html`<strong class="big">${count(current.devices)}</strong>` : null],
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
  scanHistory(status) {
    const missing = isStorageDown(status) ? 'not known' : 'not set up'
    return facts(
      Object.entries(status.upstreams).map(([name, report]) => [
        spell(name),
        report
          ? html`${badge(report.state === 'ok' ? 'good' : report.state === 'unknown' ? 'quiet' : 'bad', report.state === 'ok' ? 'answers' : report.state === 'unknown' ? 'not called lately' : report.state)}${' '}
              ${when(report.lastOkAt, 'no answer yet')}`
          : missing,
      ]),
    )
  },
}

/** Before the first poll nothing is known: that is not zero. */
function openNow(name: string, report: ChangesReport): Content {
  const { openItems, oldestOpen, lastPoll } = report
  if (openItems === null) return html`<span class="muted">not known before the first poll</span>`
  const link = linkTo(['actions', name], { show: 'open' })
  return html`<a class="big" href=${link}>${count(openItems)}</a>
    <div class="muted">
      ${oldestOpen && html`oldest from ${ago(oldestOpen.since)}, `}
      ${lastPoll ? html`asked ${ago(lastPoll.endedAt)}` : 'not asked yet'}
      ${lastPoll?.error && html` ${badge('bad', 'the last poll failed')}`}
    </div>`
}

function waiting({ pending, dead, oldestPendingAt }: NonNullable<Status['deliveries']>): Content {
  const text = `${count(pending)} pending, ${plural(dead, 'dead letter')}`
  return html`<a href=${linkTo(['deliveries'])}>${text}</a>
    ${oldestPendingAt && html` <span class="muted">oldest from ${ago(oldestPendingAt)}</span>`}`
}

/** What the schedules do next. */
function upcoming({ changes, avHealth, events }: Status): Content {
  const lag = Math.max(0, ...Object.values(events ?? {}).map(({ lagSeconds }) => lagSeconds))
  const next: [string, Content | undefined][] = [
    ...Object.entries(changes ?? {}).map(([name, report]): [string, Content] => [
      `Poll of ${spell(name).toLowerCase()}`,
      when(report.nextPollAt, 'never'),
    ]),
    ['Export of antivirus health', avHealth ? when(avHealth.nextRunAt, 'never') : undefined],
    ['Events wait to be sent for', lag > 0 ? span(lag) : undefined],
  ]
  return next.some(([, value]) => value !== undefined) ? section('Comes next', facts(next)) : null
}
