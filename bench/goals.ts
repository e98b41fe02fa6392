import { readFileSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, release, totalmem } from 'node:os'
import { median } from './measure.ts'

/** A figure with what it must reach. */
export interface Goal {
  number: string
  what: string
  bar: string
  median: number
  range: [number, number]
  pairs: number
  result: 'PASS' | 'MISS' | '–'
}

export function goal(
  number: string,
  what: string,
  sign: '≤' | '≥' | 'no goal',
  bar: number,
  values: number[],
): Goal {
  const middle = median(values)
  const isMet = sign === '≤' ? middle <= bar : middle >= bar
  return {
    number,
    what,
    bar: sign === 'no goal' ? '–' : `${sign} ${bar}`,
    median: middle,
    range: [Math.min(...values), Math.max(...values)],
    pairs: values.length,
    result: sign === 'no goal' ? '–' : isMet ? 'PASS' : 'MISS',
  }
}

const shown = (value: number) =>
  value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(3)

export function tableOf(goals: Goal[]): string {
  const rows = goals.map(({ number, what, bar, median, range, pairs, result }) =>
    ['', number, what, bar, shown(median), range.map(shown).join(' – '), pairs, result, '']
      .join(' | ')
      .trim(),
  )
  return [
    '| goal | what | must be | median | range | pairs | |',
    '|---|---|---|---|---|---|---|',
    ...rows,
  ].join('\n')
}

const RESULTS = new URL('results.md', import.meta.url)

/** Writes the page of results; a goal that was not measured this time keeps its section's earlier figures. */
export function writeResults(section: string, goals: Goal[], quick: boolean): void {
  const lock = JSON.parse(readFileSync(new URL('../package-lock.json', import.meta.url), 'utf8'))
  const version = (name: string) => lock.packages[`node_modules/${name}`]?.version
  const [cpu] = cpus()
  const machine = `${new Date().toISOString().slice(0, 10)}, ${quick ? 'quick run, ' : ''}load ${loadavg()
    .map((load) => load.toFixed(1))
    .join(
      ' ',
    )} at its end, Node ${process.versions.node}, ${cpus().length} × ${cpu?.model}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, data-tables ${version('@azure/data-tables')}, Azurite ${version('azurite')}`
  const text = `## ${section}\n\n${machine}\n\n${tableOf(goals)}\n`
  let page =
    '# Results of `npm run bench`\n\nMedians and ranges of interleaved pairs, each case in a fresh process. See [the benchmarks](README.md).\n'
  try {
    page = readFileSync(RESULTS, 'utf8')
  } catch {
    // The first run.
  }
  const sections = page.split(/\n(?=## )/).filter((part) => !part.startsWith(`## ${section}\n`))
  writeFileSync(RESULTS, [...sections.map((part) => part.trimEnd()), text].join('\n\n'))
}
