import { type Answers, changeKinds } from '../answers.ts'
import { changeWord, dimensions, wordOf } from '../conditions.ts'
import { Download } from '../download.ts'
import { type Column, empty, hostName, Page, table, when } from '../elements.ts'
import { filters } from '../filters.ts'
import { html, part, type View } from '../html.ts'
import { useAnswer, type ViewProps } from '../load.ts'
import { usePages } from '../pages.ts'
import { linkTo } from '../session.ts'
import { exact, spell } from '../words.ts'

type ChangeList = Answers['GET /av-health/changes']

const periods = { '1d': 'Last day', '7d': 'Last 7 days', '30d': 'Last 30 days' }
const kinds = Object.fromEntries(changeKinds.map((kind) => [kind, changeWord(kind)]))

/** What changed on devices between snapshots. */
export function Changes({ place: { query } }: ViewProps): View {
  const set = Object.fromEntries(query)
  const pages = usePages(query.toString())
  const { since = '' } = set
  const until = endOf(since)
  const other = { [since]: until ? `Snapshot from ${exact(since)}` : since }
  const ask = { query: { ...set, ...(until && { until }) } }
  const answer = useAnswer('GET /av-health/changes', { query: { ...ask.query, ...pages.query } })
  return part(Page<ChangeList>, {
    title: 'Changes',
    intro:
      'What differs on a device from one snapshot to the next. It does not say when in between.',
    answer,
    controls: filters(
      {
        since: {
          label: 'Snapshots of',
          none: 'All that are stored',
          options: since === '' || since in periods ? periods : { ...periods, ...other },
        },
        kind: { label: 'What', none: 'Everything', options: kinds },
      },
      set,
      (wanted) => linkTo(['changes'], wanted),
    ),
    show: ({ changes, isKnown, next }) => html`
      ${
        changes.length === 0
          ? isKnown
            ? empty(
                'Nothing changed.',
                next === null ? undefined : 'There is more to read: go on with Next.',
              )
            : empty(
                'It is not known what changed.',
                'No snapshot of this time was compared with one before it: the first one is only the start.',
              )
          : table('Changes, newest snapshot first', columns, changes)
      }
      ${pages.bar(changes.length, 'change', next)}
      ${part(Download, { route: 'GET /av-health/changes', ask, file: 'changes.csv' })}
    `,
  })
}

/** Of a `since` that is the time of a snapshot: where the list ends that has this snapshot alone. */
function endOf(since: string): string | undefined {
  const at = since.includes('T') ? Date.parse(since) : Number.NaN
  return Number.isNaN(at) ? undefined : new Date(at + 1).toISOString()
}

const columns: Column<ChangeList['changes'][number]>[] = [
  {
    head: 'Device',
    cell: ({ machineId, computerDnsName, at }) =>
      html`<a href=${linkTo(['devices', machineId])}>${hostName(computerDnsName ?? machineId)}</a>
        <div class="narrow">${when(at)}</div>`,
  },
  {
    head: 'What',
    cell: ({ kind, from, to }) =>
      html`${spell(kind)}<div class="narrow muted">${valuesText(from, to)}</div>`,
  },
  { head: 'From → to', kind: 'wide free', cell: ({ from, to }) => valuesText(from, to) },
  { head: 'Snapshot', kind: 'wide', cell: ({ at }) => when(at) },
]

/** The values that differ, as `Antivirus mode: Active → Passive`; of a device that came or went, what it is. */
export function valuesText(from: object, to: object): string {
  const [before, after] = [from, to] as Record<string, unknown>[]
  const word = (name: string, value: unknown) =>
    value === undefined || value === null ? 'Not known' : wordOf(name, String(value))
  if (Object.keys(from).length === 0 || Object.keys(to).length === 0) {
    const values: Record<string, unknown> = { ...before, ...after }
    return ['os', 'mode', 'groupName'].map((name) => word(name, values[name])).join(', ')
  }
  return Object.keys(to)
    .filter(
      (name) => before?.[name] !== after?.[name] && (name !== 'group' || !('groupName' in to)),
    )
    .map(
      (name) =>
        `${dimensions[name]?.title ?? spell(name)}: ${word(name, before?.[name])} → ${word(name, after?.[name])}`,
    )
    .join('; ')
}
