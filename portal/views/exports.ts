import type { Answers, ExportRun, ExportRunSummary } from '../answers.ts'
import {
  badge,
  type Column,
  empty,
  facts,
  Page,
  progress,
  section,
  type Tone,
  table,
  when,
} from '../elements.ts'
import { type Content, html, part, type View } from '../html.ts'
import { useAnswer, type ViewProps } from '../load.ts'
import { usePages } from '../pages.ts'
import { Question } from '../question.ts'
import { linkTo } from '../session.ts'
import { count, exact, plural, relative, span } from '../words.ts'

type RunList = Answers['GET /av-health/exports']

/** Export runs with their accounting, or one run with its files. */
export function Exports({ place }: ViewProps): View {
  const id = place.path[1]
  return id === undefined ? part(Runs, {}) : part(Run, { id })
}

function Runs(): View {
  const pages = usePages('runs')
  const answer = useAnswer('GET /av-health/exports', { query: pages.query })
  return part(Page<RunList>, {
    title: 'Exports',
    intro:
      'Each run reads the antivirus health of the whole fleet. The last one that was published is the snapshot that the other views show.',
    answer,
    show: ({ runs, skippedRows, next }) => html`
      ${skippedRows.length > 0 && skipped(skippedRows)}
      ${
        runs.length === 0
          ? empty('There was no run yet.', 'The Overview says when the first one starts.')
          : html`${table('Export runs, newest first', columns, runs)} ${pages.bar(runs.length, 'run', next)}`
      }
    `,
  })
}

const skipped = (rows: string[]) =>
  html`<div class="notice warn">
    <h2>${plural(rows.length, 'stored row')} could not be read</h2>
    <p>They are left out here: ${rows.slice(0, 5).join(', ')}</p>
  </div>`

const tones: Record<ExportRunSummary['state'], Tone> = {
  starting: 'info',
  listing: 'info',
  importing: 'info',
  comparing: 'info',
  published: 'good',
  unchanged: 'quiet',
  empty: 'quiet',
  failed: 'bad',
}

/** Why a guard has stopped a run. */
const guards: Record<NonNullable<ExportRunSummary['guard']>, string> = {
  rejected: 'too many rejected lines',
  unreadable: 'too many unreadable values',
  devices: 'too few devices',
}

const stateOf = ({ state, guard }: ExportRunSummary): Content =>
  html`${badge(tones[state], state)}${guard && html` ${badge('warn', guards[guard])}`}`

const columns: Column<ExportRunSummary>[] = [
  {
    head: 'Started',
    cell: ({ runId, startedAt }) =>
      html`<a href=${linkTo(['exports', runId])}>${relative(startedAt)}</a>
        <div class="muted">${exact(startedAt)}</div>`,
  },
  { head: 'State', cell: stateOf },
  { head: 'Devices', kind: 'number', cell: ({ counts }) => count(counts.written) },
  {
    head: 'Files',
    kind: 'wide number',
    cell: ({ counts }) => `${count(counts.imported)} of ${count(counts.listed)}`,
  },
  { head: 'Rejected lines', kind: 'wide number', cell: ({ counts }) => count(counts.rejected) },
  { head: 'Took', kind: 'wide number', cell: took },
]

function took({ startedAt, endedAt }: ExportRunSummary): Content {
  return endedAt ? span((Date.parse(endedAt) - Date.parse(startedAt)) / 1000) : '–'
}

function Run({ id }: { id: string }): View {
  const pages = usePages(id)
  const answer = useAnswer('GET /av-health/exports/{runId}', {
    params: { runId: id },
    query: pages.query,
  })
  return part(Page<ExportRun>, {
    title: `Export run ${id}`,
    up: { href: linkTo(['exports']), text: 'Exports' },
    answer,
    show: (run) => html`
      ${run.reason && html`<p class="headline">${run.reason}</p>`}
      ${facts([
        ['State', stateOf(run)],
        ['Data from', when(run.generatedTime)],
        ['Started', when(run.startedAt)],
        ['Ended', when(run.endedAt, 'It is at work.')],
        ['Took', run.endedAt ? took(run) : undefined],
        ['Method', run.method === 'json' ? 'pages' : run.method],
        [
          'Devices before',
          run.devicesBefore === null ? undefined : plural(run.devicesBefore, 'device'),
        ],
        ['Changes', run.changes ? changesText(run.changes, run.generatedTime) : undefined],
        ['Table', run.snapshot],
      ])}
      ${run.waiting && html`<p>It waits for ${run.waiting.for}, until ${when(run.waiting.until)}.</p>`}
      ${!run.endedAt && progress(filesText(run), run.counts.imported, run.counts.listed)}
      ${publish(run, answer.refresh)} ${section('Accounting', accounting(run))}
      ${unreadable(run)}
      ${section(
        'Files',
        run.files.length === 0
          ? empty('No file is listed.')
          : html`${table('Files of the run', fileColumns, run.files)} ${pages.bar(run.files.length, 'file', run.next)}`,
      )}
      ${rejected(run)}
    `,
  })
}

function changesText(
  { state, reason, counts }: NonNullable<ExportRun['changes']>,
  at: string | null,
): Content {
  if (state === 'baseline') return 'It is the first snapshot: there is nothing to compare it with.'
  if (state === 'unknown') return `not known: ${reason}`
  const sum = Object.values(counts).reduce((all, one) => all + one, 0)
  return html`<a href=${linkTo(['changes'], { since: at ?? undefined })}>${plural(sum, 'change')}</a> on devices`
}

const filesText = ({ counts }: ExportRun) =>
  `${count(counts.imported)} of ${plural(counts.listed, 'file')} imported`

function publish(run: ExportRun, refresh: () => void): Content {
  if (run.state !== 'failed' || !run.guard || !run.snapshot) return null
  return html`<div class="notice warn">
    <h2>A guard kept this run from replacing the snapshot before it</h2>
    <p>Compare its numbers with the Defender portal. When they are right, publish it: without a new download, within 24 hours of its end.</p>
    <div>${part(Question<'POST /av-health/exports/{runId}/publish'>, {
      label: 'Publish this run',
      question: `Publish a run with ${plural(run.counts.written, 'device')}?`,
      consequence: `It replaces the snapshot that readers see now${run.devicesBefore === null ? '' : ` (${plural(run.devicesBefore, 'device')})`}. This can't be undone; the next run publishes again.`,
      route: 'POST /av-health/exports/{runId}/publish',
      ask: { params: { runId: run.runId } },
      report: ({ state }) => `The run is ${state}.`,
      done: refresh,
    })}</div>
  </div>`
}

/** What was read is stored, a duplicate or rejected. */
function accounting({ counts }: ExportRun): Content {
  const { parsed, written, duplicates, rejected } = counts
  const fits = parsed === written + duplicates + rejected
  const term = (value: number, name: string) =>
    html`<span class="term"><strong>${count(value)}</strong> ${name}</span>`
  return html`<div class="sum">
    ${term(parsed, 'lines read')} <span>=</span> ${term(written, 'stored')} <span>+</span>
    ${term(duplicates, 'duplicates')} <span>+</span> ${term(rejected, 'rejected')}
    ${fits ? badge('good', 'it adds up') : badge('bad', 'it does not add up')}
  </div>`
}

function unreadable({ unreadable: fields, unknownFields }: ExportRun): Content {
  const list = (found: Record<string, number>) =>
    Object.entries(found)
      .map(([name, lines]) => `${name} in ${plural(lines, 'line')}`)
      .join(', ')
  if (Object.keys({ ...fields, ...unknownFields }).length === 0) return null
  return facts([
    ['Values that could not be read', list(fields) || undefined],
    ['Fields that the app does not know', list(unknownFields) || undefined],
  ])
}

type ExportFile = ExportRun['files'][number]

const fileTones: Partial<Record<ExportFile['state'], Tone>> = {
  imported: 'good',
  failed: 'bad',
  importing: 'info',
}

const fileColumns: Column<ExportFile>[] = [
  {
    head: 'File',
    cell: ({ path, number }) =>
      html`File ${number} <small class="path">${path.split('/').slice(-2).join('/')}</small>`,
  },
  {
    head: 'State',
    cell: ({ state, reason }) =>
      html`${badge(fileTones[state] ?? 'quiet', state)}${reason && html` <span class="muted">${reason}</span>`}`,
  },
  { head: 'Lines', kind: 'number', cell: ({ counts }) => count(counts.parsed) },
  { head: 'Stored', kind: 'wide number', cell: ({ counts }) => count(counts.written) },
  { head: 'Duplicates', kind: 'wide number', cell: ({ counts }) => count(counts.duplicates) },
  { head: 'Rejected', kind: 'wide number', cell: ({ counts }) => count(counts.rejected) },
]

function rejected({ files }: ExportRun): Content {
  const lines = files.flatMap((file) => file.rejects.map((reject) => ({ file, ...reject })))
  if (lines.length === 0) return null
  return section(
    'Rejected lines',
    table(
      'Lines that could not be stored',
      [
        { head: 'Place', cell: ({ file, line }) => `file ${file.number}, line ${count(line)}` },
        { head: 'Reason', cell: ({ reason }) => reason },
        { head: 'Text', kind: 'wide free', cell: ({ text }) => html`<code>${text}</code>` },
      ],
      lines,
    ),
  )
}
