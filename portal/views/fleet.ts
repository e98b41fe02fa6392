import type { Answers } from '../answers.ts'
import { modes } from '../conditions.ts'
import { badge, empty, Page, section, when } from '../elements.ts'
import { type Content, html, part, type View } from '../html.ts'
import { useAnswer, type ViewProps } from '../load.ts'
import { linkTo } from '../session.ts'
import { count, plural, spell } from '../words.ts'
import { Trend } from './trend.ts'

type Summary = Answers['GET /av-health/summary']

/** A dimension in words, and the list behind each of its values that has one. */
interface Dimension {
  name: string
  title: string
  words?: Record<string, string>
  linkFor?(value: string): Record<string, string | undefined> | undefined
}

/** A list by one condition, behind the value for which it holds. */
const behind = (bad: string, condition: string) => (value: string) =>
  value === bad ? { condition } : undefined

const dimensions: Dimension[] = [
  {
    name: 'mode',
    title: 'Antivirus mode',
    words: modes,
    linkFor: (mode) => (mode === '(unknown)' ? { condition: 'unknown-mode' } : { mode }),
  },
  { name: 'signature', title: 'Signatures', linkFor: behind('stale', 'signature-stale') },
  { name: 'engine', title: 'Engine', linkFor: behind('stale', 'engine-stale') },
  { name: 'platform', title: 'Platform', linkFor: behind('stale', 'platform-stale') },
  { name: 'quickScan', title: 'Last quick scan', linkFor: behind('failing', 'quick-scan-failing') },
  { name: 'fullScan', title: 'Last full scan', linkFor: behind('failing', 'full-scan-failing') },
  { name: 'scans', title: 'Age of the last scan', linkFor: behind('overdue', 'scan-overdue') },
  { name: 'seen', title: 'Seen by Defender', linkFor: behind('not-seen', 'not-seen') },
  { name: 'os', title: 'System', linkFor: (os) => (/^\(/.test(os) ? undefined : { os }) },
  {
    name: 'group',
    title: 'Device group',
    linkFor: (group) => (/^\(/.test(group) ? undefined : { group }),
  },
]

/** What the fleet is like in the current snapshot, and how that came about. */
export function Fleet({ place }: ViewProps): View {
  const answer = useAnswer('GET /av-health/summary')
  return part(Page<Summary>, {
    title: 'Fleet',
    answer,
    show: (summary) => html`
      <p class="headline">
        ${plural(summary.devices, 'device')}
        <span class="muted"> in the snapshot from </span>${when(summary.snapshot.generatedTime)}
      </p>
      ${changed(summary)} ${section('In this snapshot', bars(summary))}
      ${section('Over time', part(Trend, { query: place.query }))}
    `,
  })
}

const states: Record<string, string> = {
  baseline: 'It is the first one: there is nothing to compare it with.',
  unknown: 'What changed since the one before is not known.',
}

function changed({ changes }: Summary): Content {
  if (!changes) return null
  const kinds = Object.entries(changes.counts)
  if (kinds.length === 0)
    return html`<p class="muted">${states[changes.state] ?? 'Nothing changed since the one before.'}</p>`
  return html`<p class="badges">
    <span>Since the one before:</span>
    ${kinds.map(
      ([kind, number]) =>
        html`<a href=${linkTo(['changes'], { kind })}>${badge('info', `${count(number)} ${spell(kind).toLowerCase()}`)}</a>`,
    )}
  </p>`
}

function bars({ counts, devices }: Summary): Content {
  if (!counts) return empty('The values of this snapshot were not counted.')
  return html`<div class="columns">
    ${dimensions.flatMap((dimension) => {
      const found = counts[dimension.name]
      return found ? [group(dimension, found, devices)] : []
    })}
  </div>`
}

const common = {
  '(unknown)': 'Not known',
  '(other)': 'All others',
  fresh: 'Up to date',
  ok: 'Succeeded',
}

/** How many values a group shows. */
const MOST = 8

function group(
  { name, title, words: own = {}, linkFor }: Dimension,
  found: Record<string, number>,
  devices: number,
): Content {
  const entries = Object.entries(found)
  const words: Record<string, string> = { ...common, ...own }
  // Names of systems and groups stay as they are.
  const isOwn = name === 'os' || name === 'group'
  const rest = entries.slice(MOST).reduce((sum, [, number]) => sum + number, 0)
  return html`<section class="card">
    <h2>${title}</h2>
    <table class="bars">
      <caption class="hidden">${title}: devices by value</caption>
      <thead class="hidden">
        <tr><th scope="col">Value</th><th scope="col">Devices</th></tr>
      </thead>
      <tbody>
        ${entries.slice(0, MOST).map(([value, number]) => {
          const query = linkFor?.(value)
          const word = words[value] ?? (isOwn ? value : spell(value))
          return html`<tr>
            <th scope="row">${query ? html`<a href=${linkTo(['devices'], query)}>${word}</a>` : word}</th>
            <td>${bar(number, devices)} ${count(number)}</td>
          </tr>`
        })}
        ${rest > 0 && html`<tr><th scope="row">All others</th><td>${bar(rest, devices)} ${count(rest)}</td></tr>`}
      </tbody>
    </table>
  </section>`
}

const bar = (number: number, of: number) =>
  html`<span class="bar" aria-hidden="true"><span style=${{ width: `${(100 * number) / Math.max(of, 1)}%` }}></span></span>`
