import type { Answers, Scan } from '../answers.ts'
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
import { type Content, html, part, type View } from '../html.ts'
import { ONCE, useAnswer } from '../load.ts'
import { usePages } from '../pages.ts'
import { linkTo } from '../session.ts'
import { count, spell } from '../words.ts'

export const tones: Record<Scan['state'], Tone> = {
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

type DefinitionList = Answers['GET /scan-history/defender/definitions']

/** What Defender scans with a sign-in, each with its last scan. */
export function Definitions({ controls }: { controls: Content }): View {
  const pages = usePages('definitions')
  const answer = useAnswer('GET /scan-history/defender/definitions', { query: pages.query }, ONCE)
  return part(Page<DefinitionList>, {
    title: 'Scan definitions',
    answer,
    controls,
    show: ({ definitions, next }) => html`
      ${
        definitions.length === 0
          ? empty('Defender has no definition of an authenticated scan.')
          : table('Scan definitions', definitionColumns, definitions)
      }
      ${pages.bar(definitions.length, 'definition', next)}
    `,
  })
}

const definitionColumns: Column<DefinitionList['definitions'][number]>[] = [
  {
    head: 'Definition',
    cell: ({ id, name }) =>
      id
        ? html`<a href=${linkTo(['scans', 'definition'], { id })}>${name ?? id}</a>`
        : (name ?? '–'),
  },
  { head: 'Kind', kind: 'wide', cell: ({ scanType }) => scanType ?? '–' },
  {
    head: 'Active',
    kind: 'wide',
    cell: ({ isActive }) => (isActive === null ? 'not known' : isActive ? 'yes' : 'no'),
  },
  {
    head: 'Last scan',
    cell: ({ latestScan }) =>
      latestScan ? badge(tones[latestScan.state], spell(latestScan.state)) : 'none',
  },
  { head: 'At', cell: ({ latestScan }) => when(latestScan?.executedAt) },
]

type DefinitionAnswer = Answers['GET /scan-history/defender/definitions/{id}']

/** One definition with its sessions. */
export function Definition({ id, controls }: { id: string; controls: Content }): View {
  const answer = useAnswer('GET /scan-history/defender/definitions/{id}', { params: { id } }, ONCE)
  return part(Page<DefinitionAnswer>, {
    title: answer.data?.definition?.name ?? 'Scan definition',
    answer,
    controls,
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
              ['Scanner', hostName(definition.scanner?.machineName ?? '–')],
              ['Made by', hostName(definition.createdBy ?? '–')],
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
    head: 'Session',
    // Without the id of the session there is nothing to look up.
    cell: ({ run }) =>
      run?.id
        ? html`<a href=${linkTo(['scans', 'session'], { id: run.id })}>${run.id}</a>`
        : 'Defender gives no id',
  },
  {
    head: 'Last scanned',
    cell: ({ startedAt, lastScannedAt }) => when(lastScannedAt ?? startedAt),
  },
  { head: 'State', cell: ({ state }) => badge(tones[state], spell(state)) },
  {
    head: 'Targets',
    kind: 'wide number',
    cell: (scan) => (scan.counts.targets === null ? 'not known' : count(scan.counts.targets)),
  },
]
