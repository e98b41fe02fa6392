import type { Answers } from '../answers.ts'
import {
  changeWord,
  conditionOf,
  dimensions,
  listOf,
  ruleOf,
  valueTone,
  wordOf,
} from '../conditions.ts'
import { badge, empty, Page, section, when } from '../elements.ts'
import { type Content, html, part, type View } from '../html.ts'
import { useAnswer, type ViewProps } from '../load.ts'
import { linkTo } from '../session.ts'
import { count, plural, share } from '../words.ts'
import { Trend } from './trend.ts'

type Summary = Answers['GET /av-health/summary']

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
      ${section('Over time', part(Trend, { key: summary.snapshot.runId, query: place.query }))}
    `,
  })
}

const states: Record<string, string> = {
  baseline: 'It is the first one: there is nothing to compare it with.',
  unknown: 'What changed since the one before is not known.',
}

function changed({ changes, snapshot }: Summary): Content {
  if (!changes) return null
  const kinds = Object.entries(changes.counts)
  if (kinds.length === 0)
    return html`<p class="muted">${states[changes.state] ?? 'Nothing changed since the one before.'}</p>`
  // What got worse comes first.
  const sorted = kinds.toSorted(([a], [b]) => Number(worse.test(b)) - Number(worse.test(a)))
  return html`<p class="badges">
    <span>Devices that changed since the one before:</span>
    ${sorted.map(([kind, number]) => {
      const href = linkTo(['changes'], { kind, since: snapshot.generatedTime ?? undefined })
      const text = `${changeWord(kind)}: ${count(number)}`
      return html`<a href=${href}>${badge(worse.test(kind) ? 'warn' : 'quiet', text)}</a>`
    })}
  </p>`
}

const worse = /(?:stale|failing|overdue|not-seen|disappeared|disabled)$/

function bars({ counts, devices, snapshot }: Summary): Content {
  if (!counts) return empty('The values of this snapshot were not counted.')
  return html`<div class="columns">
    ${Object.keys(dimensions).flatMap((name) => {
      const found = counts[name]
      return found ? [group(name, found, { devices, snapshot })] : []
    })}
  </div>`
}

/** How many values a group shows at first. */
const MOST = 8

/** What all numbers of a view are of. */
type Whole = Pick<Summary, 'devices' | 'snapshot'>

function group(dimension: string, found: Record<string, number>, whole: Whole): Content {
  const { title = dimension } = dimensions[dimension] ?? {}
  const entries = Object.entries(found)
  const rest = entries.slice(MOST)
  const sum = rest.reduce((all, [, number]) => all + number, 0)
  const table = (caption: string, shown: typeof entries) => html`<table class="bars">
    <caption class="hidden">${caption}</caption>
    <thead class="hidden">
      <tr><th scope="col">Value</th><th scope="col">Devices</th><th scope="col">Share</th></tr>
    </thead>
    <tbody>
      ${shown.map(([value, number]) => bar(dimension, value, number, whole))}
    </tbody>
  </table>`
  return html`<section class="card">
    <h2>${title}</h2>
    ${table(`${title}: devices by value`, entries.slice(0, MOST))}
    ${
      rest.length > 0 &&
      html`<details>
        <summary>${plural(rest.length, 'more value')}: ${plural(sum, 'device')}, ${share(sum, whole.devices)}</summary>
        ${table(`${title}: more values`, rest)}
      </details>`
    }
  </section>`
}

function bar(
  dimension: string,
  value: string,
  number: number,
  { devices, snapshot }: Whole,
): Content {
  const href = listOf(dimension, value)
  const word = wordOf(dimension, value)
  const rule = ruleOf(conditionOf(dimension, value), snapshot)
  return html`<tr>
    <th scope="row">
      ${href ? html`<a href=${href}>${word}</a>` : html`${word} <small>only the 200 most frequent values have a list</small>`}
      ${rule && html` <small>${rule}</small>`}
      <span class=${`bar ${valueTone(dimension, value)}`} aria-hidden="true">
        <span style=${{ width: `${(100 * number) / Math.max(devices, 1)}%` }}></span>
      </span>
    </th>
    <td class="number">${count(number)}</td>
    <td class="number muted">${share(number, devices)}</td>
  </tr>`
}
