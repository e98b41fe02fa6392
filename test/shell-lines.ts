import { globSync } from 'node:fs'
import { readText } from './bicep/template-texts.ts'
import { root } from './functions/load-registrations.ts'

/** A block of commands in a document. */
export interface Block {
  page: string
  shell: 'sh' | 'powershell'
  text: string
  /** Whether a block for PowerShell stands right behind it. */
  hasTwin: boolean
}

export const pages: readonly string[] = [
  'README.md',
  ...globSync('docs/*.md', { cwd: root }).map((path) => path.replaceAll('\\', '/')),
]

/** Every block of commands in README and docs. */
export const readBlocks = (page: string, text = readText(page)): Block[] =>
  [...text.matchAll(/^```(sh|powershell)\n([\s\S]*?)^```$/gm)].map((match) => {
    const [whole, shell, block = ''] = match
    // At most one line of text between the two.
    const after = text.slice(match.index + whole.length)
    const hasTwin = /^\n+(?:[^\n`#]+\n+)?```powershell\n/.test(after)
    return { page, shell: shell as Block['shell'], text: block, hasTwin }
  })

/** Whether a block for `sh` does something else, or nothing, in PowerShell. */
export const isForShOnly = (text: string) =>
  /\\$|^export |\$\(|\$[A-Z]|^\w+(?:=|\(\))|^(?:for|if|while) |; do$|^sh |\| jq\b|^read /m.test(
    text,
  )

/** A text with words in place of `<placeholders>` and `…`, which no shell could read. */
export const fill = (text: string) =>
  text.replaceAll(/<[a-z][\w ]*>/gi, 'placeholder').replaceAll('…', 'x')

/** Every line of `az` and `azd` in a text: of blocks, of inline code, of scripts and of fixes in code. */
export function readCommands(text: string): string[] {
  // Of a document only the code, not its prose.
  const isPage = /^# |\n## /.test(text)
  const code = isPage ? [...text.matchAll(/^```\w*\n([\s\S]*?)^```$|`([^`\n]+)`/gm)] : [['', text]]
  const joined = code
    .map(([, block, inline]) => block ?? inline)
    .join('\n')
    .replaceAll(/[\\`]\n\s*/g, ' ')
  const found = joined.matchAll(
    /(?:^|[`'"($|&=]|\bxargs |\bif ! ?|\bout\(\) \{ )\s*(azd? [a-z][^\n`;|]*)/gm,
  )
  return [...found].flatMap(([, line = '']) => {
    const command = fill(line).split(/ \$\(az | \|\| | && |, and |\(on a laptop|\)? 2>/)[0] ?? ''
    return / /.test(command) ? [command.replace(/["')]+$/, '').trim()] : []
  })
}
