import uPlot from 'uplot'

/** A line by its name, with a value a day; null where there is none. */
export interface Line {
  name: string
  /** As the bars have it: what is bad, what is not known. */
  tone: 'bad' | 'quiet' | ''
  values: (number | null)[]
}

const styleOf = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name)
const tones = { bad: '--amber', quiet: '--muted' }
const colours = ['--accent', '--good', '--violet', '--teal', '--text']

const dayNames = new Intl.DateTimeFormat('en-GB', {
  day: 'numeric',
  month: 'short',
  timeZone: 'UTC',
})
const dayText = (ms: number) => dayNames.format(ms)

/** Draws lines over days into an element; the answer removes the chart. The table beside it says the same. */
export function drawTrend(element: HTMLElement, days: string[], lines: Line[]): () => void {
  let used = 0
  const strokes = lines.map(({ tone }) =>
    styleOf(tone ? tones[tone] : (colours[used++ % colours.length] ?? '--accent')),
  )
  const axis = { stroke: styleOf('--muted'), grid: { stroke: styleOf('--line'), width: 1 } }
  const chart = new uPlot(
    {
      width: element.clientWidth,
      height: 240,
      series: [
        {},
        ...lines.map(({ name }, index) => ({
          label: name,
          stroke: strokes[index],
          width: 2,
          // The form, not only the colour, tells lines apart.
          dash: index < 3 ? [] : [6, 4],
          points: { show: days.length <= 31 },
        })),
      ],
      axes: [
        { ...axis, values: (_chart, ticks) => ticks.map((tick) => dayText(tick * 1000)) },
        { ...axis, size: 60 },
      ],
      // Room for the last point.
      padding: [8, 16, 0, 0],
      legend: { show: false },
      // From zero: else a small change looks like a large one.
      scales: { x: { time: true }, y: { range: (_chart, _least, most) => [0, most * 1.05 || 1] } },
      cursor: { y: false },
    },
    [days.map((day) => Date.parse(day) / 1000), ...lines.map(({ values }) => values)],
    element,
  )
  element.append(legendOf(lines, strokes))
  const resize = new ResizeObserver(() =>
    chart.setSize({ width: element.clientWidth, height: 240 }),
  )
  resize.observe(element)
  return () => {
    resize.disconnect()
    chart.destroy()
    element.replaceChildren()
  }
}

/** The library's own is a table without cells. */
function legendOf(lines: Line[], strokes: string[]): HTMLElement {
  const legend = document.createElement('ul')
  for (const [index, { name }] of lines.entries()) {
    const item = document.createElement('li')
    item.textContent = name
    item.style.setProperty('--stroke', strokes[index] ?? '')
    legend.append(item)
  }
  return legend
}
