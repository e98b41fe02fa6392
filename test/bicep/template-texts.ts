import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../functions/load-registrations.ts'

/** The text of a file of the project. */
export const readText = (path: string) => readFileSync(join(root, path), 'utf8')

/** Every Bicep file of the project by its path. */
export const templateTexts: Record<string, string> = Object.fromEntries(
  globSync('bicep/**/*.bicep', { cwd: root }).map((path) => [
    path.replaceAll('\\', '/'),
    readText(path),
  ]),
)

/** The templates with one text replaced in one file. */
export function withChange(
  path: string,
  from: string | RegExp,
  to: string,
): Record<string, string> {
  const text = templateTexts[path] ?? ''
  const changed = text.replace(from, to)
  if (changed === text) throw new Error(`${path} has no ${from}`)
  return { ...templateTexts, [path]: changed }
}
