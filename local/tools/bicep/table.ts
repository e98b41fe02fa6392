/** A resource, a role, a setting list, a parameter or an output, with its values in some of the sets. */
export interface Entry {
  /** Type and version, or `role`, `output`, `parameter`. */
  type: string
  name: string
  /** Sets that have it. */
  sets: string[]
  values: { path: string; value: string; sets: string[] }[]
}

/** What one set of parameters comes to, or the parameters and outputs of the template itself (set `template`): entries by heading, each with its values by path. */
export type Expanded = Map<string, Map<string, string>>

/** The table as it is committed: each entry once, and behind a line the sets that have it, unless all have it. */
export function writeTable(sets: Map<string, Expanded>): string {
  const all = [...sets.keys()]
  const headings = new Set([...sets.values()].flatMap((expanded) => [...expanded.keys()]))
  const lines = [...headings].toSorted().flatMap((heading) => {
    const having = all.filter((name) => sets.get(name)?.has(heading))
    const values = new Map<string, string[]>()
    for (const name of having)
      for (const [path, value] of sets.get(name)?.get(heading) ?? []) {
        const line = `  ${path} = ${value}`
        values.set(line, [...(values.get(line) ?? []), name])
      }
    return [
      `\n${heading}${mark(having, all)}`,
      ...[...values].map(([line, names]) => `${line}${mark(names, having)}`),
    ]
  })
  return `sets: ${all.join(' ')}\n${lines.join('\n')}\n`
}

const mark = (names: string[], all: string[]) =>
  names.length === all.length ? '' : `  [${names.join(' ')}]`

/** Reads the committed table. */
export function readTable(text: string): { sets: string[]; entries: Entry[] } {
  const [first = '', ...lines] = text.split('\n')
  const sets = first.replace('sets: ', '').split(' ')
  const entries: Entry[] = []
  for (const line of lines.filter((one) => one !== '')) {
    const [, body = '', marked] = /^(.*?)(?: {2}\[([a-z -]+)\])?$/.exec(line) ?? []
    const names = marked?.split(' ')
    const entry = entries.at(-1)
    const [, path, value = ''] = /^ {2}(\S+) = (.*)$/.exec(body) ?? []
    if (path && entry) entry.values.push({ path, value, sets: names ?? entry.sets })
    else {
      const [, type = '', name = ''] = /^(\S+) (.*)$/.exec(body) ?? []
      entries.push({ type, name, sets: names ?? sets, values: [] })
    }
  }
  return { sets, entries }
}

/** What a table says of some sets. */
export const readSets = (text: string, names: string[]): Map<string, Expanded> =>
  new Map(names.map((name) => [name, select(readTable(text).entries, name)]))

const select = (entries: Entry[], set: string): Expanded =>
  new Map(
    entries
      .filter(({ sets }) => sets.includes(set))
      .map(({ type, name, values }) => [
        `${type} ${name}`,
        new Map(values.flatMap((one) => (one.sets.includes(set) ? [[one.path, one.value]] : []))),
      ]),
  )

/** The lines in which two tables differ, as a reviewer reads them. */
export function compareTables(committed: string, now: string): string[] {
  const before = withHeadings(committed)
  const after = withHeadings(now)
  return [
    ...before.filter((line) => !after.includes(line)).map((line) => `- ${line}`),
    ...after.filter((line) => !before.includes(line)).map((line) => `+ ${line}`),
  ]
}

/** Each line with the heading above it: the same property stands under many. */
function withHeadings(text: string): string[] {
  let heading = ''
  return text.split('\n').flatMap((line) => {
    if (line === '') return []
    if (line.startsWith('  ')) return [`${heading.replace(/ {2}\[.*/, '')}:${line}`]
    heading = line
    return [line]
  })
}
