import { globSync } from 'node:fs'
import { basename } from 'node:path'
import { z } from 'zod'
import { routes } from '../../local/simulator/simulator.ts'
import type { Resource } from '../../shared/changes/resource.ts'
import { readSettings, readText } from '../bicep/template-texts.ts'
import { rowsUnder } from '../doc-tables.ts'
import { root } from '../functions/load-registrations.ts'

/** The files of records in `shared/changes/resources/`. */
export const recordFiles = globSync('shared/changes/resources/*.ts', { cwd: root })
  .map((path) => basename(path, '.ts'))
  .filter((name) => name !== 'index')

const sampleSchema = z.object({ Values: z.record(z.string(), z.string()) })

/**
 * What the watched kinds need beside their records and what is not there, one sentence each with the place to write it.
 * `files`: the names of the files that hold a record.
 */
export function findMissingLines(
  kinds: readonly Resource[],
  files: readonly string[] = recordFiles,
): string[] {
  const unlisted = files
    .filter((file) => !kinds.some(({ name }) => name === file))
    .map((file) => `shared/changes/resources/index.ts: ${file} is not in the list`)
  return [...unlisted, ...kinds.flatMap(missingLinesFor)]
}

function missingLinesFor({ name, title, path, roles, schedule }: Resource): string[] {
  const { setting, usual } = schedule
  const sample = sampleSchema.parse(JSON.parse(readText('local.settings.sample.json'))).Values
  const rows = rowsUnder('setting', 'default')
  const grants = rowsUnder('flow', 'app role')
  const places: [isThere: boolean, missing: string][] = [
    [sample[setting] === usual, `local.settings.sample.json: "${setting}": "${usual}"`],
    [
      rows.some(([cell, value]) => cell === `\`${setting}\`` && value === `\`${usual}\``),
      `docs, table of settings: a row for ${setting} with its default ${usual}`,
    ],
    [
      readSettings().get(setting) === usual,
      `bicep/main.bicep: a parameter for ${setting} with its default ${usual}, and the setting`,
    ],
    [
      grants.some(([cell, first]) => cell === title && first?.startsWith(`\`${roles[0]}\``)),
      `docs, table of grants: a row for ${title} with ${roles[0]}`,
    ],
    [
      routes.some((route) => route.method === 'GET' && route.path.test(`/defender${path}`)),
      `local/simulator: a kind that answers GET ${path}`,
    ],
    [
      readText('local/relay/option-table.ts').includes(name),
      `local/relay/option-table.ts: ${name} in the help of --stream`,
    ],
  ]
  return places.flatMap(([isThere, missing]) => (isThere ? [] : missing))
}
