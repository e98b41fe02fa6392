import { globSync } from 'node:fs'
import { basename } from 'node:path'
import { root } from '../functions/load-registrations.ts'
import { readText } from './template-texts.ts'

/** An alert rule as the template has it. */
export interface AlertRule {
  name: string
  /** The name of its query file. */
  file: string
  query: string
  severity: number
}

/** How often each rule is evaluated, and over how much time. */
export const [frequency, window] = ['evaluationFrequency', 'windowSize'].map(
  (name) =>
    new RegExp(`^ {6}${name}: '(.+)'$`, 'm').exec(readText('bicep/modules/alerts.bicep'))?.[1] ??
    '',
) as [string, string]

/** Every query file by its name. */
export const queryFiles = globSync('bicep/queries/*.kql', { cwd: root }).map((path) =>
  basename(path, '.kql'),
)

/** Reads the rules out of the template's text: each is a block of plain lines. `npm run bicep` proves that they are deployed. */
export function readAlertRules(text = readText('bicep/modules/alerts.bicep')): AlertRule[] {
  const list = /^var rules = \[\n([\s\S]*?)^\]/m.exec(text)?.[1] ?? ''
  return [...list.matchAll(/^ {2}\{\n([\s\S]*?)^ {2}\}/gm)].map(([, block = '']) => {
    const member = (name: string) =>
      new RegExp(`^ {4}${name}: (?:'(.*)'|(.+))$`, 'm').exec(block)?.slice(1).find(Boolean) ?? ''
    const file = /^loadTextContent\('\.\.\/queries\/([\w-]+)\.kql'\)$/.exec(member('query'))?.[1]
    return {
      name: member('name'),
      file: file ?? '',
      query: readText(`bicep/queries/${file}.kql`),
      severity: Number(member('severity')),
    }
  })
}
