import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { readTable } from '../../local/tools/bicep/table.ts'
import { root } from '../functions/load-registrations.ts'

/** The text of a file of the project. */
export const readText = (path: string) => readFileSync(join(root, path), 'utf8')

/** A resource, role, parameter or output as one set of parameters has it. */
export interface Item {
  /** Without its version. */
  type: string
  name: string
  values: Map<string, string>
}

const table = readTable(readText('bicep/compiler/table.txt'))

const isOfLogicApps = (name: string) => name === 'connector' || name.startsWith('workflow-')

/** The sets of the app's template. */
export const setNames: readonly string[] = table.sets.filter(
  (name) => name !== 'template' && !isOfLogicApps(name),
)

/** The sets of the templates in `logic-apps/`. */
export const logicAppsSets: readonly string[] = table.sets.filter(isOfLogicApps)

/**
 * What the templates come to with one set of parameters. `npm run bicep` proves with the compiler that the table is theirs;
 * the tests compare it with the code, and need no compiler.
 */
export const expand = (set: string): Item[] =>
  table.entries
    .filter(({ sets }) => sets.includes(set))
    .map(({ type, name, values }) => ({
      type: type.replace(/@.*/, ''),
      name,
      values: new Map(
        values.flatMap((one) => (one.sets.includes(set) ? [[one.path, one.value]] : [])),
      ),
    }))

/** A text without its quotes. */
export const textOf = (value = '') => value.replace(/^"|"$/g, '')

/** The app settings of a set, as texts. */
export function readSettings(items = expand('public')): Map<string, string> {
  const settings = items.find(({ name }) => name.endsWith('/appsettings'))
  return new Map(
    [...(settings?.values ?? [])].map(([path, value]) => [
      path.replace('properties.', ''),
      textOf(value),
    ]),
  )
}

/** Facts of a parameter of `main.bicep`: `type`, `defaultValue`, `allowedValues[0]` … */
export const readParameters = (): Map<string, Map<string, string>> =>
  new Map(
    expand('template').flatMap(({ type, name, values }) =>
      type === 'parameter' ? [[name, values]] : [],
    ),
  )

/** The values of a list, or of all paths that a pattern describes. */
export const listAt = (values: Map<string, string> | undefined, path: RegExp): string[] =>
  [...(values ?? [])].flatMap(([one, value]) => (path.test(one) ? [textOf(value)] : []))
