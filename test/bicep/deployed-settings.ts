import type { Node } from 'web-tree-sitter'
import { neededSettings, refusedSettings } from './allowed-values.ts'
import { at } from './find-breaches.ts'
import { named, readTemplate, textOf, within } from './read-template.ts'

/** The app settings that the templates set, by name, with what stands there. */
export function readSettings(texts: Record<string, string>): Map<string, Node> {
  const app = readTemplate('bicep/modules/app.bicep', texts['bicep/modules/app.bicep'] ?? '')
  const main = readTemplate('bicep/main.bicep', texts['bicep/main.bicep'] ?? '')
  const settings = app.resources.find(({ name }) => name === 'appSettings')
  const [written] = settings ? at(settings, 'properties') : []
  const sources =
    written?.childForFieldName('arguments')?.namedChildren.map((one) => one?.text ?? '') ?? []
  const found = new Map<string, Node>()
  for (const source of sources) {
    const variable = app.variables.get(source)
    const calls = main.modules.flatMap((call) => at(call, `params.${source}`))
    for (const node of [variable, ...calls].filter((one) => one !== undefined))
      for (const property of within(node).filter(({ type }) => type === 'object_property')) {
        const [key, value] = named(property)
        if (value) found.set(textOf(key), value)
      }
  }
  return found
}

/** What the code and its bindings ask of the settings. */
export interface Demands {
  /** Names in `%…%`, which must have a value or the function does not run. */
  bound: string[]
  /** Settings that the code reads and has no default for. */
  required: string[]
}

/** Settings that are refused, missing, or neither set nor known by default. */
export function findSettingBreaches(
  texts: Record<string, string>,
  { bound, required }: Demands,
): string[] {
  const settings = readSettings(texts)
  const refused = new Set(refusedSettings.map((name) => name.toLowerCase()))
  return [
    ...[...settings.keys()]
      .filter((name) => refused.has(name.toLowerCase()))
      .map((name) => `${name} is refused`),
    ...[...new Set([...neededSettings, ...bound, ...required])]
      .filter((name) => !settings.has(name) || settings.get(name)?.text === "''")
      .map((name) => `${name} is not set`),
    ...[...settings]
      .filter(([, { text }]) => /^(?:true|false|\d+)$/.test(text))
      .map(([name]) => `${name} is no text`),
  ]
}
