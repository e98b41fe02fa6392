import type { Answers } from '../answers.ts'
import { dimensions, listOf, valueTone, wordOf } from '../conditions.ts'
import { badge, empty, Page, section, when } from '../elements.ts'
import { type Content, html, part, type View } from '../html.ts'
import { useAnswer, type ViewProps } from '../load.ts'
import { linkTo } from '../session.ts'
import { count, plural, share, spell } from '../words.ts'
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

function changed({ changes }: Summary): Content {
  if (!changes) return null
  const kinds = Object.entries(changes.counts)
  if (kinds.length === 0)
    return html`<p class="muted">${states[changes.state] ?? 'Nothing changed since the one before.'}</p>`
  // What got worse comes first.
  const sorted = kinds.toSorted(([a], [b]) => Number(worse.test(b)) - Number(worse.test(a)))
  return html`<p class="badges">
    <span>Since the one before:</span>
    ${sorted.map(
      ([kind, number]) =>
        html`<a href=${linkTo(['changes'], { kind })}>${badge(worse.test(kind) ? 'warn' : 'quiet', `${count(number)} ${spell(kind).toLowerCase()}`)}</a>`,
    )}
  </p>`
}

const worse = /(?:stale|failing|overdue|not-seen|disappeared|disabled)$/

function bars({ counts, devices }: Summary): Content {
  if (!counts) return empty('The values of this snapshot were not counted.')
  return html`<div class="columns">
    ${Object.keys(dimensions).flatMap((name) => {
      const found = counts[name]
      return found ? [group(name, found, devices)] : []
    })}
  </div>`
}

/** How many values a group shows. */
const MOST = 8

function group(dimension: string, found: Record<string, number>, devices: number): Content {
  const { title = dimension } = dimensions[dimension] ?? {}
  const entries = Object.entries(found)
  const rest = entries.slice(MOST).reduce((sum, [, number]) => sum + number, 0)
  const shown = entries.slice(0, MOST)
  if (rest > 0) shown.push(['(other)', rest])
  return html`<section class="card">
    <h2>${title}</h2>
    <table class="bars">
      <caption class="hidden">${title}: devices by value</caption>
      <thead class="hidden">
        <tr><th scope="col">Value</th><th scope="col">Devices</th><th scope="col">Share</th></tr>
      </thead>
      <tbody>
        ${shown.map(([value, number]) => {
          const href = listOf(dimension, value)
          const word = wordOf(dimension, value)
          return html`<tr>
            <th scope="row">
              ${href ? html`<a href=${href}>${word}</a>` : word}
              <span class=${`bar ${valueTone(dimension, value)}`} aria-hidden="true">
                <span style=${{ width: `${(100 * number) / Math.max(devices, 1)}%` }}></span>
              </span>
            </th>
            <td class="number">${count(number)}</td>
            <td class="number muted">${share(number, devices)}</td>
          </tr>`
        })}
      </tbody>
    </table>
  </section>`
}
