import { globSync } from 'node:fs'
import { readText } from './bicep/template-texts.ts'
import { root } from './functions/load-registrations.ts'

/** The rows of every table in README and docs whose header begins with these cells; without the header. */
export function rowsUnder(...header: string[]): string[][] {
  const texts = ['README.md', ...globSync('docs/*.md', { cwd: root })].map(readText)
  const tables = texts.flatMap((text) => text.match(/(?:^\|.*\|\n)+/gm) ?? [])
  const rows = tables.map((table) =>
    table
      .trim()
      .split('\n')
      .map((line) =>
        line
          .slice(1, -1)
          .split('|')
          .map((cell) => cell.trim()),
      ),
  )
  return rows
    .filter(([first = []]) => header.every((cell, index) => first[index]?.startsWith(cell)))
    .flatMap((table) => table.slice(2))
}
