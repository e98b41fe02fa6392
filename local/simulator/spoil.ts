/** What is wrong with the values of rows: present, and not in the form that is documented. */
export interface SpoiledRows {
  how:
    | ('single-quotes' | 'cut-off' | 'mode-names' | 'flag-words')
    | ('local-times' | 'scan-lists' | 'windows-settings')
  /** One of so many rows. */
  every: number
}

type Row = Record<string, unknown>

const isRow = (value: unknown): value is Row =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Spoils every n-th line of a file; lines that are no objects stay. */
export function* spoilLines(
  lines: Iterable<string>,
  { how, every }: SpoiledRows,
): Iterable<string> {
  let number = 0
  for (const line of lines) yield number++ % every === 0 ? spoilLine(line, how) : line
}

function spoilLine(line: string, how: SpoiledRows['how']): string {
  const row = parse(line)
  if (!isRow(row)) return line
  const nested = row.DeviceGatheredInfo
  const info = parse(nested)
  const text = isRow(info) ? JSON.stringify(info) : '{}'
  if (how === 'single-quotes') row.DeviceGatheredInfo = text.replaceAll('"', "'")
  else if (how === 'cut-off') row.DeviceGatheredInfo = text.slice(0, -1)
  else {
    Object.assign(row, spoilRow(row, how))
    if (isRow(info)) row.DeviceGatheredInfo = JSON.stringify(spoilRow(info, how))
  }
  return JSON.stringify(row)
}

/** A row of the JSON method, or the antivirus data of a line, with one kind of value in another form. */
export function spoilRow(row: Row, how: SpoiledRows['how']): Row {
  if (how === 'windows-settings') {
    const names = ['SchUseStrongCrypto35', 'SchUseStrongCrypto40']
    const settings = names.flatMap((name) => [name, `${name}Wow6432`]).map((name) => [name, '1'])
    return { ...row, ...Object.fromEntries(settings), IsWindowsLtscVersionRunning: 'False' }
  }
  const change: Partial<Record<SpoiledRows['how'], (name: string, value: unknown) => unknown>> = {
    'mode-names': (name, value) => (/^avmode$/i.test(name) ? 'Active' : value),
    'flag-words': (name, value) => (/^avis\w+uptodate$/i.test(name) ? 'Yes' : value),
    'local-times': (name, value) =>
      /time(?:stamp)?$/i.test(name) ? '11/28/2026 8:00:00 AM' : value,
    'scan-lists': (name, value) => (/^avscanresults$/i.test(name) ? '[{"Quick":1}]' : value),
  }
  const changed = Object.entries(row).map(([name, value]) => [
    name,
    change[how]?.(name, value) ?? value,
  ])
  return Object.fromEntries(changed)
}

function parse(value: unknown): unknown {
  if (typeof value !== 'string') return value
  try {
    return JSON.parse(value)
  } catch {
    return undefined
  }
}
