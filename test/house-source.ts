import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, posix } from 'node:path'

/** A source tree: paths below the root with forward slashes, and what stands in the files. */
export type Tree = Record<string, string>

const FOLDERS = ['functions', 'shared', 'portal', 'local', 'bench', 'test']
/** Written by `npm run describe`. */
const MADE = 'portal/answers.ts'

/** Reads the sources of the project, and the two files that say how they are built and formatted. */
export function readTree(root: string): Tree {
  const tree: Tree = {}
  for (const name of ['package.json', 'biome.json'])
    tree[name] = readFileSync(join(root, name), 'utf8')
  for (const folder of FOLDERS) {
    // A clone has no empty folders.
    if (!existsSync(join(root, folder))) continue
    for (const path of readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })) {
      const name = posix.join(folder, path.replaceAll('\\', '/'))
      if (name.endsWith('.ts') && name !== MADE) tree[name] = readFileSync(join(root, name), 'utf8')
    }
  }
  return tree
}

/** Reads every source file of a tree. */
export const readSources = (tree: Tree): Source[] =>
  Object.entries(tree).flatMap(([path, text]) =>
    path.endsWith('.ts') ? [readSource(path, text)] : [],
  )

export const isDeployed = (path: string) => /^(?:shared|functions)\//.test(path)

/** One import, re-export or literal dynamic import of a file. */
export interface Import {
  from: string
  /** The names that exist at run time; empty for types alone, `*` for all of it, `default` for the default. */
  values: string[]
}

/** A source file as the rules of the house look at it. */
export interface Source {
  path: string
  lines: number
  characters: number
  /** The code without comments, and every text in quotes replaced by `''`. */
  code: string
  imports: Import[]
}

const BEGINNING =
  /(?:^|[(,=:[!&|?{};+\-*%^~<>]|\b(?:return|typeof|case|in|of|yield|await|void|delete|throw|else))\s*$/

/** Reads a source file: plain text is enough when comments, quotes and patterns are distinguished. */
export function readSource(path: string, text: string): Source {
  const { code, quoted } = strip(text)
  return {
    path,
    characters: text.length,
    lines: text.replace(/\n$/, '').split('\n').length,
    code: code.replace(/'\d+'/g, "''"),
    imports: imports(code, quoted),
  }
}

/** A stretch of a source text: from the character `start` up to, but not including, `end`. */
interface Range {
  start: number
  end: number
}

/**
 * Separates the code of a source text from its prose (comments and quoted texts). Both keep their lines and columns: blanks
 * stand in place of the other part.
 */
export function splitProse(text: string): { code: string; prose: string } {
  const blank = (part: string) => part.replace(/[^\n]/g, ' ')
  let [code, prose, at] = ['', '', 0]
  for (const { start, end } of strip(text).prose) {
    code += text.slice(at, start) + blank(text.slice(start, end))
    prose += blank(text.slice(at, start)) + text.slice(start, end)
    at = end
  }
  return { code: code + text.slice(at), prose: prose + blank(text.slice(at)) }
}

/** Takes comments out, and puts the number of each quoted text in its place. `prose` are the places of both. */
function strip(text: string): { code: string; quoted: string[]; prose: Range[] } {
  const quoted: string[] = []
  const prose: Range[] = []
  // For every open `${`, how many braces are open within it.
  const holes: number[] = []
  let code = ''
  let at = 0
  const keep = (content: string) => {
    code += `'${quoted.push(content) - 1}'`
  }
  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at
    const found = pattern.exec(text)
    if (found) at = pattern.lastIndex
    return found?.[0]
  }
  const takeProse = (pattern: RegExp): string | undefined => {
    const start = at
    const found = take(pattern)
    if (found !== undefined) prose.push({ start, end: at })
    return found
  }
  const template = () => {
    const chunk = takeProse(/(?:\\[\s\S]|\$(?!\{)|[^\\$`])*(?:`|\$\{)/y)
    if (chunk === undefined) throw new Error('a template has no end')
    keep(chunk)
    if (chunk.endsWith('${')) {
      code += '+('
      holes.push(0)
    }
  }
  while (at < text.length) {
    if (takeProse(/\/\/[^\n]*|\/\*[\s\S]*?\*\//y)) code += ' '
    else if (/['"]/.test(text[at] ?? ''))
      keep(
        takeProse(/'(?:\\[\s\S]|[^\\'\n])*'|"(?:\\[\s\S]|[^\\"\n])*"/y)?.slice(1, -1) ??
          text[at++] ??
          '',
      )
    else if (take(/`/y)) template()
    else if (
      text[at] === '/' &&
      BEGINNING.test(code.slice(-20)) &&
      take(/\/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\[\n])+\/[a-z]*/y)
    )
      keep('')
    else if (holes.length > 0 && text[at] === '}' && holes.at(-1) === 0) {
      holes.pop()
      code += ')+'
      at += 1
      template()
    } else {
      const character = text[at] ?? ''
      const depth = holes.length - 1
      if (depth >= 0 && character === '{') holes[depth] = (holes[depth] ?? 0) + 1
      if (depth >= 0 && character === '}') holes[depth] = (holes[depth] ?? 0) - 1
      code += character
      at += 1
    }
  }
  return { code, quoted, prose }
}

const FROM =
  /\b(?:import|export)\s+(type\s+(?!from\b))?((?:[\w$]+\s*,?\s*)?(?:\{[^}]*\}|\*(?:\s*as\s+[\w$]+)?)?)\s*from\s*'(\d+)'/g
const BARE = /\bimport\s*(?:\(\s*)?'(\d+)'/g

function imports(code: string, quoted: string[]): Import[] {
  const named = [...code.matchAll(FROM)].map(([, type, clause = '', index]) => ({
    from: quoted[Number(index)] ?? '',
    values: type ? [] : valuesOf(clause),
  }))
  const whole = [...code.matchAll(BARE)].map(([, index]) => ({
    from: quoted[Number(index)] ?? '',
    values: ['*'],
  }))
  return [...named, ...whole]
}

function valuesOf(clause: string): string[] {
  const [, first, rest = ''] = /^\s*(?:([\w$]+)\s*,?)?\s*([\s\S]*)$/.exec(clause) ?? []
  const names = rest.startsWith('*')
    ? ['*']
    : rest
        .replace(/[{}]/g, '')
        .split(',')
        .map((name) => name.trim())
        .filter((name) => name !== '' && !name.startsWith('type '))
        .map((name) => name.split(/\s+as\s+/)[0] ?? '')
  return [...(first ? ['default'] : []), ...names]
}
