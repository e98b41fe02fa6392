import { useEffect, useRef, useState } from 'preact/hooks'
import type { Answers } from '../answers.ts'
import type { Line } from '../charts.ts'
import { dimensions, valueTone, wordOf } from '../conditions.ts'
import { empty, table } from '../elements.ts'
import { tabs } from '../filters.ts'
import { html, part, type View } from '../html.ts'
import { ONCE, useAnswer } from '../load.ts'
import { linkTo } from '../session.ts'
import { count } from '../words.ts'

type TrendAnswer = Answers['GET /av-health/trend']

const periods = ['30', '90', '400']
/** How many lines a chart has: the largest ones of the newest day. */
const MOST = 6

/** A dimension over the last days, as a chart and as a table. It changes with a snapshot, so it is asked for once. */
export function Trend({ query }: { query: URLSearchParams }): View {
  const by = query.get('by') ?? 'mode'
  const days = query.get('days') ?? '30'
  const { data, failure } = useAnswer('GET /av-health/trend', { query: { by, days } }, ONCE)
  return html`<div class="controls">
      ${tabs(
        'Period',
        periods.map((one) => ({
          text: `${one} days`,
          href: linkTo(['fleet'], { by, days: one }),
          isCurrent: one === days,
        })),
      )}
      ${tabs(
        'Of what',
        Object.entries(dimensions).map(([one, { title }]) => ({
          text: title,
          href: linkTo(['fleet'], { by: one, days }),
          isCurrent: one === by,
        })),
      )}
    </div>
    ${
      data
        ? part(Shown, { trend: data })
        : html`<p role="status">${failure ? `${failure.title}. ${failure.detail}` : 'Loading …'}</p>`
    }`
}

function Shown({ trend: { by, days } }: { trend: TrendAnswer }): View {
  const counted = days.filter((day) => day.counts)
  if (counted.length === 0)
    return html`${empty('No day of this period has a snapshot that was counted.')}`
  const newest = counted.at(-1)?.counts ?? {}
  const names = Object.keys(newest)
    .sort((a, b) => (newest[b] ?? 0) - (newest[a] ?? 0))
    .slice(0, MOST)
  const lines = names.map((name) => ({
    name: wordOf(by, name),
    tone: valueTone(by, name),
    values: days.map(({ counts }) => (counts ? (counts[name] ?? 0) : null)),
  }))
  return html`${part(Chart, { days: days.map(({ day }) => day), lines })}
    <details>
      <summary>The numbers as a table</summary>
      ${table(
        'Devices by day',
        [
          { head: 'Day', cell: ({ day, partial }) => `${day}${partial ? ' (so far)' : ''}` },
          {
            head: 'Devices',
            kind: 'number',
            cell: ({ devices }) => (devices === null ? 'no snapshot' : count(devices)),
          },
          ...lines.map(({ name }, index) => ({
            head: name,
            kind: 'number' as const,
            cell: ({ counts }: TrendAnswer['days'][number]) =>
              counts ? count(counts[names[index] ?? ''] ?? 0) : '–',
          })),
        ],
        days.toReversed(),
      )}
    </details>`
}

/** The library of charts is loaded with the first one. */
function Chart({ days, lines }: { days: string[]; lines: Line[] }): View {
  const element = useRef<HTMLDivElement>(null)
  const [isMissing, setMissing] = useState(false)
  const content = JSON.stringify([days, lines])
  useEffect(() => {
    let remove = () => {}
    let isGone = false
    const drawn = import('../charts.ts').then(({ drawTrend }) => {
      if (!isGone && element.current) remove = drawTrend(element.current, days, lines)
    })
    // Without the chart there is still the table.
    drawn.catch(() => setMissing(true))
    return () => {
      isGone = true
      remove()
    }
  }, [content])
  return html`<div class="panel">
    ${isMissing && html`<p>The chart can't be drawn here: the table below has its numbers.</p>`}
    <div
      class="chart"
      ref=${element}
      role="img"
      aria-label="A chart; the table below has its numbers"
    ></div>
  </div>`
}
