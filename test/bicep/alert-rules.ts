import { globSync } from 'node:fs'
import { basename, join } from 'node:path'
import { root } from '../functions/load-registrations.ts'
import { findItems, memberOf } from './find-literals.ts'
import { readTemplate, textOf } from './read-template.ts'
import { readText, templateTexts } from './template-texts.ts'

/** An alert rule as the template has it. */
export interface AlertRule {
  name: string
  /** The name of its query file. */
  file: string
  query: string
  severity: number
  frequency: string
  window: string
  operator: string
  threshold: number
}

/** Every query file by its name. */
export const queryFiles = globSync('bicep/queries/*.kql', { cwd: root }).map((path) =>
  basename(path, '.kql'),
)

const path = 'bicep/modules/alerts.bicep'

/** Reads the rules out of the template. */
export function readAlertRules(text = templateTexts[path] ?? ''): AlertRule[] {
  const template = readTemplate(path, text)
  const list = template.variables.get('rules')
  return ((list && findItems(list, template, [template])) ?? []).map(({ node }) => {
    const member = (name: string) => textOf(memberOf(node, name))
    const file =
      /^loadTextContent\('\.\.\/queries\/([\w-]+)\.kql'\)$/.exec(member('query'))?.[1] ?? ''
    return {
      name: member('name'),
      file,
      query: readText(join('bicep/queries', `${file}.kql`)),
      severity: Number(member('severity')),
      operator: member('operator'),
      threshold: Number(member('threshold')),
      frequency: member('evaluationFrequency'),
      window: member('windowSize'),
    }
  })
}
