import type { Scan, ScanAnswer } from '../answers.ts'
import {
  badge,
  type Column,
  empty,
  facts,
  hostName,
  Page,
  section,
  type Tone,
  table,
  when,
} from '../elements.ts'
import { filters, tabs } from '../filters.ts'
import { type Content, html, part, type View } from '../html.ts'
import { type Loaded, ONCE, useAnswer, type ViewProps } from '../load.ts'
import { useSlices } from '../pages.ts'
import { linkTo } from '../session.ts'
import { count, span, spell } from '../words.ts'
import { Definition, Definitions, tones } from './definitions.ts'

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
  const { id, run = '', ...rest } = Object.fromEntries(place.query)
  const controls = html`
    ${tabs(
      'What to look up',
      Object.entries(lookups).map(([path, { title }]) => ({
        text: title,
        href: linkTo(['scans', path]),
        isCurrent: path === lookup,
      })),
    )}
    ${filters(
      lookups[lookup].fields,
      { ...rest, id, run },
      (wanted) => linkTo(['scans', lookup], wanted),
      { action: 'Look up' },
    )}
  `
  if (lookup === 'definition')
    return id ? part(Definition, { key: id, id, controls }) : part(Definitions, { controls })
  if (!id)
    return part(Page<string>, { title: 'Scans', answer: notAsked, controls, show: () => hint })
  return part(OneScan, { key: `${id} ${run}`, source: lookup, id, run, controls })
}

const notAsked: Loaded<string> = {
  data: '',
  at: 0,
  failure: undefined,
  isLoading: false,
  curl: '',
  refresh() {},
}

const hint = empty(
  'Give the id of a scan.',
  'The source is asked once; the answer says whether it holds everything, and if not, why.',
)

interface ScanProps {
  source: 'session' | 'tenable'
  id: string
  run: string
  controls: Content
}

function OneScan({ source, id, run, controls }: ScanProps): View {
  const route =
    source === 'session'
      ? 'GET /scan-history/defender/sessions/{id}'
      : 'GET /scan-history/tenable/scans/{id}'
  const query = source === 'tenable' ? { run: run || undefined } : {}
  const answer = useAnswer(route, { params: { id }, query }, ONCE)
  return part(Page<ScanAnswer>, {
    title: answer.data?.name ?? lookups[source].title,
    answer,
    controls,
    show: (scan) => html`
      ${completeness(scan)}
      ${facts([
        [
          'State',
          html`${badge(tones[scan.state], spell(scan.state))}
            ${scan.upstreamState?.toLowerCase() !== scan.state && html` <span class="muted">“${scan.upstreamState}” in the source</span>`}`,
        ],
        ['Error', scan.errorMessage ?? undefined],
        ['Started', when(scan.startedAt)],
        ['Ended', when(scan.endedAt)],
        ['Last scanned', when(scan.lastScannedAt)],
        [
          'Run',
          scan.run?.id === scan.id ? undefined : (scan.run?.id ?? scan.run?.number ?? undefined),
        ],
        ['Definition', definitionLink(scan)],
        ['Id', scan.id],
        ['Stored answer from', scan.cached ? when(scan.cached.at) : undefined],
      ])}
      ${section('Counts', counts(scan))} ${section('Targets', part(Targets, { scan }))}
    `,
  })
}

function definitionLink({ source, definitionId: id }: Scan): Content | undefined {
  if (!id) return undefined
  return source === 'defender'
    ? html`<a href=${linkTo(['scans', 'definition'], { id })}>${id}</a>`
    : id
}

const claims: Record<Scan['completeness']['kind'], [Tone, string]> = {
  complete: ['good', 'The answer holds everything that the source has.'],
  partial: ['warn', 'The answer holds only a part.'],
  archived: ['warn', 'The source no longer shows the hosts of this run.'],
  running: ['info', 'The run is not over: nothing is counted yet.'],
  none: ['quiet', 'The scan has no run to show.'],
}

function completeness({ state, completeness: { kind, reason, whereElse } }: Scan): Content {
  const [claim, text] = claims[kind]
  // A complete answer about a scan that failed is no good news.
  const tone = claim === 'good' && tones[state] !== 'good' ? 'quiet' : claim
  return html`<div class=${`notice ${tone}`}>
    <p><strong>${text}</strong> ${reason}</p>
    ${whereElse && html`<p>Where else: ${whereElse}</p>`}
  </div>`
}

/** A number that was not counted over everything is unknown, not zero. */
const counts = ({ source, counts: found }: Scan): Content =>
  html`<dl class="numbers">
    ${Object.entries(found)
      .filter(([name]) => source === 'tenable' || !onlyTenable.includes(name))
      .map(
        ([name, value]) => html`<div>
        <dt>${onlyTenable.includes(name) ? `${spell(name)} findings` : spell(name)}</dt>
        <dd>${value === null ? html`<span class="none">not known</span>` : count(value)}</dd>
      </div>`,
      )}
  </dl>`

type Target = NonNullable<Scan['targets']>[number]

const targetColumns: Column<Target>[] = [
  { head: 'Target', cell: ({ ip, hostname }) => hostName(hostname ?? ip ?? '–') },
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
    cell: ({ severities }) => (severities ? severityText(severities) : '–'),
  },
]

/** Tenable gives none of these. */
const onlyDefender = ['State', 'Took']
/** Sessions of Defender tell no findings. */
const onlyTenable = ['Findings', 'critical', 'high', 'medium', 'low', 'info']

const severityText = (found: NonNullable<Target['severities']>) =>
  Object.entries(found)
    .flatMap(([name, value]) => (value ? [`${count(value)} ${name}`] : []))
    .join(', ') || 'none'

function Targets({ scan }: { scan: Scan }): View {
  const { shown, bar } = useSlices(scan.targets ?? [])
  if (scan.targets === null) return html`${empty('The source does not show the targets.')}`
  if (shown.length === 0) return html`${empty('The run has no targets.')}`
  const columns = targetColumns.filter(
    ({ head }) => !(scan.source === 'defender' ? onlyTenable : onlyDefender).includes(head),
  )
  return html`${table('Targets', columns, shown)} ${bar('target')}`
}
