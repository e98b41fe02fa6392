import type { Answers, Scan, ScanAnswer } from '../answers.ts'
import { filters, tabs } from '../filters.ts'
import { type Content, html, part, type View } from '../html.ts'
import { type Loaded, useAnswer, type ViewProps } from '../load.ts'
import { useSlices } from '../pages.ts'
import {
  badge,
  type Column,
  empty,
  facts,
  Page,
  section,
  type Tone,
  table,
  when,
} from '../parts.ts'
import { linkTo } from '../session.ts'
import { count, span, spell } from '../words.ts'

/** What can be looked up, with the fields of its form. */
const lookups = {
  session: { title: 'Defender session', fields: { id: 'Session id' } },
  definition: { title: 'Defender definition', fields: { id: 'Definition id' } },
  tenable: { title: 'Tenable scan', fields: { id: 'Scan id', run: 'Run (empty: the latest)' } },
} as const
type Lookup = keyof typeof lookups

/** One scan by its id. It is asked for once: a look-up may use up calls of the upstream. */
export function Scans({ place }: ViewProps): View {
  const [, name = 'session'] = place.path
  const lookup: Lookup = name in lookups ? (name as Lookup) : 'session'
  const set = Object.fromEntries(place.query)
  const { id } = set
  return html`
    ${!id && part(Page<string>, { title: 'Scans', answer: nothingAsked, show: () => null })}
    <div class="lookup">
      ${tabs(
        'What to look up',
        Object.entries(lookups).map(([path, { title }]) => ({
          text: title,
          href: linkTo(['scans', path]),
          isCurrent: path === lookup,
        })),
      )}
      ${filters(lookups[lookup].fields, set, (wanted) => linkTo(['scans', lookup], wanted), 'Look up')}
    </div>
    ${id && shown(lookup, id, set.run)}
  `
}

const nothingAsked: Loaded<string> = {
  data: '',
  at: Date.now(),
  failure: undefined,
  isLoading: false,
  curl: '',
  refresh() {},
}

const shown = (lookup: Lookup, id: string, run = ''): View =>
  lookup === 'definition'
    ? part(Definition, { key: id, id })
    : part(OneScan, { key: `${id} ${run}`, source: lookup, id, run })

function OneScan({ source, id, run }: { source: 'session' | 'tenable'; id: string; run: string }) {
  const route =
    source === 'session'
      ? 'GET /scan-history/defender/sessions/{id}'
      : 'GET /scan-history/tenable/scans/{id}'
  const query = source === 'tenable' ? { run: run || undefined } : {}
  const answer = useAnswer(route, { params: { id }, query }, false)
  return part(Page<ScanAnswer>, {
    title: answer.data?.name ?? lookups[source].title,
    answer,
    show: (scan) => html`
      ${completeness(scan)}
      ${facts([
        [
          'State',
          html`${badge(tones[scan.state], spell(scan.state))}${scan.upstreamState && html` <span class="muted">${scan.upstreamState} in the source</span>`}`,
        ],
        ['Error', scan.errorMessage ?? undefined],
        ['Started', when(scan.startedAt)],
        ['Ended', when(scan.endedAt)],
        ['Last scanned', when(scan.lastScannedAt)],
        ['Run', scan.run?.id ?? scan.run?.number?.toString() ?? undefined],
        [
          'Definition',
          scan.definitionId
            ? html`<a href=${linkTo(['scans', 'definition'], { id: scan.definitionId })}>${scan.definitionId}</a>`
            : undefined,
        ],
        ['Id', scan.id],
        ['Stored answer from', scan.cached ? when(scan.cached.at) : undefined],
      ])}
      ${section('Counts', counts(scan))} ${section('Targets', part(Targets, { scan }))}
    `,
  })
}

const tones: Record<Scan['state'], Tone> = {
  completed: 'good',
  imported: 'good',
  partial: 'warn',
  failed: 'bad',
  canceled: 'quiet',
  running: 'info',
  paused: 'quiet',
  pending: 'info',
  'never-run': 'quiet',
  unknown: 'warn',
}

const claims: Record<Scan['completeness']['kind'], [Tone, string]> = {
  complete: ['good', 'The answer holds everything that the source has.'],
  partial: ['warn', 'The answer holds only a part.'],
  archived: ['warn', 'The source no longer shows the hosts of this run.'],
  running: ['info', 'The run is not over: nothing is counted yet.'],
  none: ['quiet', 'The scan has no run to show.'],
}

function completeness({ completeness: { kind, reason, whereElse } }: Scan): Content {
  const [tone, text] = claims[kind]
  return html`<div class=${`notice ${tone}`}>
    <p><strong>${text}</strong> ${reason}</p>
    ${whereElse && html`<p>Where else: ${whereElse}</p>`}
  </div>`
}

/** A number that was not counted over everything is unknown, not zero. */
const counts = ({ counts: found }: Scan): Content =>
  html`<dl class="numbers">
    ${Object.entries(found).map(
      ([name, value]) => html`<div>
        <dt>${spell(name)}</dt>
        <dd>${value === null ? html`<span class="none">not known</span>` : count(value)}</dd>
      </div>`,
    )}
  </dl>`

type Target = NonNullable<Scan['targets']>[number]

const targetColumns: Column<Target>[] = [
  { head: 'Target', cell: ({ ip, hostname }) => hostname ?? ip ?? '–' },
  { head: 'Address', kind: 'wide', cell: ({ ip }) => ip ?? '–' },
  {
    head: 'State',
    cell: ({ state, error }) =>
      html`${state ? badge(tones[state], spell(state)) : '–'}${error && html` <span class="muted">${error}</span>`}`,
  },
  {
    head: 'Took',
    kind: 'wide number',
    cell: ({ durationSeconds }) => (durationSeconds === null ? '–' : span(durationSeconds)),
  },
  {
    head: 'Findings',
    kind: 'number',
    cell: ({ severities }) => (severities ? severityText(severities) : '–'),
  },
]

const severityText = (found: NonNullable<Target['severities']>) =>
  Object.entries(found)
    .flatMap(([name, value]) => (value ? [`${count(value)} ${name}`] : []))
    .join(', ') || 'none'

function Targets({ scan }: { scan: Scan }): View {
  const { shown, bar } = useSlices(scan.targets ?? [])
  if (scan.targets === null) return html`${empty('The source does not show the targets.')}`
  if (shown.length === 0) return html`${empty('The run has no targets.')}`
  return html`${table('Targets', targetColumns, shown)} ${bar('target')}`
}

type DefinitionAnswer = Answers['GET /scan-history/defender/definitions/{id}']

function Definition({ id }: { id: string }): View {
  const answer = useAnswer('GET /scan-history/defender/definitions/{id}', { params: { id } }, false)
  return part(Page<DefinitionAnswer>, {
    title: answer.data?.definition?.name ?? 'Scan definition',
    answer,
    show: ({ definition, sessions, next }) => html`
      ${
        definition
          ? facts([
              ['Active', definition.isActive === null ? null : definition.isActive ? 'yes' : 'no'],
              ['No new session', definition.reason ?? undefined],
              [
                'Every',
                definition.intervalInHours === null ? null : `${definition.intervalInHours} h`,
              ],
              ['Kind', definition.scanType],
              ['Targets', definition.targets?.join(', ') ?? null],
              ['Scanner', definition.scanner?.machineName ?? null],
              ['Made by', definition.createdBy],
            ])
          : empty('Defender does not list this definition any more; its sessions are still here.')
      }
      ${section(
        'Sessions',
        sessions.length === 0
          ? empty('It has no session.')
          : html`${table('Sessions, newest first', sessionColumns, sessions)}
            ${next !== null && html`<p class="muted">There are older ones: the API answers them page by page.</p>`}`,
      )}
    `,
  })
}

const sessionColumns: Column<Scan>[] = [
  {
    head: 'Started',
    cell: ({ id, startedAt }) =>
      html`<a href=${linkTo(['scans', 'session'], { id })}>${when(startedAt, id)}</a>`,
  },
  { head: 'State', cell: ({ state }) => badge(tones[state], spell(state)) },
  {
    head: 'Targets',
    kind: 'number',
    cell: (scan) => (scan.counts.targets === null ? 'not known' : count(scan.counts.targets)),
  },
]
