import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { join, posix } from 'node:path'
import { readSource, type Source } from './house-source.ts'

/** A source tree: paths below the root with forward slashes, and what stands in the files. */
export type Tree = Record<string, string>

const FOLDERS = ['functions', 'shared', 'local', 'bench', 'test']
/** From left to right; an arrow goes to the right or stays in its room. */
const RANKS = [
  ['functions'],
  ['app'],
  ['changes', 'scan-history', 'av-health'],
  ['events', 'exports'],
  ['upstreams'],
  ['platform'],
]
const ORCHESTRATIONS = ['shared/exports/run.ts']
const NAMES = ['shared/exports/names.ts']
const PARTS = 'shared/app.ts'
const SETTINGS = 'shared/platform/config.ts'
const MOST_LINES = 300
const MOST_TRIGGER_LINES = 40

/** Reads the sources of the project. */
export function readTree(root: string): Tree {
  const tree: Tree = { 'package.json': readFileSync(join(root, 'package.json'), 'utf8') }
  for (const folder of FOLDERS) {
    // A clone has no empty folders.
    if (!existsSync(join(root, folder))) continue
    for (const path of readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })) {
      const name = posix.join(folder, path.replaceAll('\\', '/'))
      if (name.endsWith('.ts')) tree[name] = readFileSync(join(root, name), 'utf8')
    }
  }
  return tree
}

/** Everything in which a tree breaks the rules of the house; each sentence names file and rule. */
export function findBreaches(tree: Tree): string[] {
  const sources = Object.entries(tree).flatMap(([path, text]) =>
    path.endsWith('.ts') ? [readSource(path, text)] : [],
  )
  const { dependencies = {} }: { dependencies?: Record<string, string> } = JSON.parse(
    tree['package.json'] ?? '{}',
  )
  const packages = new Set([
    ...builtinModules.map((name) => `node:${name}`),
    ...Object.keys(dependencies),
  ])
  return sources.flatMap((source) =>
    [
      ...arrows(source, packages),
      ...outsideWorld(source),
      ...orchestration(source),
      ...form(source),
      ...(source.path === 'functions/index.ts' ? list(source, sources) : []),
      ...(source.path.startsWith('test/') ? tests(source) : []),
    ].map((sentence) => `${source.path}: ${sentence}`),
  )
}

const isDeployed = (path: string) => /^(?:shared|functions)\//.test(path)

/** The room of a file: a folder of `shared/`, where `app.ts` belongs to `app`. Undefined outside of all rooms. */
function roomOf(path: string): string | undefined {
  const [top, room] = path === PARTS ? ['shared', 'app'] : path.split('/')
  if (top === 'functions') return top
  return top === 'shared' && RANKS.some((rooms) => rooms.includes(room ?? '')) ? room : undefined
}

const rankOf = (room: string) => RANKS.findIndex((rooms) => rooms.includes(room))

function arrows({ path, imports }: Source, packages: Set<string>): string[] {
  if (!isDeployed(path)) return []
  const room = roomOf(path)
  if (!room) return ['stands in no room of the house']
  return imports.flatMap(({ from }) => {
    if (!from.startsWith('.')) {
      const name = from
        .split('/')
        .slice(0, from.startsWith('@') ? 2 : 1)
        .join('/')
      if (room === 'functions' && name !== '@azure/functions' && name !== 'durable-functions')
        return [`a trigger may not import the package ${from}`]
      return packages.has(name)
        ? []
        : [`imports ${from}, which is no dependency (built-in modules begin with node:)`]
    }
    const to = posix.join(posix.dirname(path), from)
    const target = roomOf(to)
    if (!isDeployed(to)) return [`is deployed and imports ${to}, which is not`]
    if (!target) return [`imports ${to}, which stands in no room of the house`]
    if (
      room === 'functions' &&
      ![room, 'app'].includes(target) &&
      ![...ORCHESTRATIONS, ...NAMES].includes(to)
    )
      return [`a trigger may import the app, orchestrations and lists of names alone, not ${to}`]
    if (target === room || rankOf(target) > rankOf(room)) return []
    const way = rankOf(target) === rankOf(room) ? 'sideways' : 'to the left'
    return [`the arrow from ${room} to ${to} goes ${way}`]
  })
}

const worlds: [pattern: RegExp, what: string][] = [
  [/(?<![.\w$])process\b(?!\s*:)/, 'process is read in shared/app.ts alone'],
  [
    /\bDate\s*\.\s*now\b|\bnew\s+Date\s*(?:\(\s*\)|(?!\s*\())|(?<!\bnew\s+|[.\w$])Date\s*\(|\bperformance\s*\.\s*now\b/,
    'time comes from the clock',
  ],
  [/(?<![.\w$])set(?:Timeout|Interval|Immediate)\b(?!\s*:)/, 'time passes by the clock'],
  [/(?<![.\w$])useParts\b/, 'useParts is for laptops and tests'],
  [
    /(?<![.\w$])require\s*\(|\bimport\s*\(\s*(?!'')/,
    'imports are written out, so that the house can see them',
  ],
]

const settingByHand = /(?<!process\.)\benv\s*(?:\??\.\s*[A-Z]|(?:\?\.)?\[)|\}\s*=\s*(?:\w+\.)*env\b/

function outsideWorld({ path, code, imports }: Source): string[] {
  if (!isDeployed(path) || path === PARTS) return []
  return [
    ...worlds.filter(([pattern]) => pattern.test(code)).map(([, what]) => what),
    ...(path !== SETTINGS && settingByHand.test(code)
      ? [`settings are read through their schema, by ${SETTINGS}`]
      : []),
    ...imports
      .filter(({ from }) => /^(?:node:)?(?:process|timers|perf_hooks)(?:\/|$)/.test(from))
      .map(({ from }) => `imports ${from}: the outside world is seen in shared/app.ts alone`),
  ]
}

function orchestration({ path, code, imports }: Source): string[] {
  if (NAMES.includes(path))
    return imports.map(({ from }) => `a list of names imports nothing, not ${from}`)
  if (!ORCHESTRATIONS.includes(path))
    return isDeployed(path) && /\bOrchestrationContext\b/.test(code)
      ? ['an orchestration is not in the list of the house']
      : []
  const allowed = code.replace(/\bnew\s+Date\(context\.df\.currentUtcDateTime\b/g, '')
  const wild = [
    'Math',
    'Date',
    'crypto',
    'await',
    'async',
    'fetch',
    'Promise',
    'performance',
    'Temporal',
  ]
  return [
    ...imports
      .filter(({ from }) => from !== 'durable-functions' && from !== './names.ts')
      .map(
        ({ from }) => `an orchestration imports durable-functions and its names alone, not ${from}`,
      ),
    ...wild
      .filter((word) =>
        new RegExp(`(?<![.\\w$])${word}\\b(?!\\.(?:ceil|max|min|floor)\\b)`).test(allowed),
      )
      .map((word) => `an orchestration is played again and again: ${word} may differ each time`),
  ]
}

const bindings = ['app', 'input', 'output', 'trigger']

function form({ path, lines, code, imports }: Source): string[] {
  const file = posix.basename(path)
  const values = imports.flatMap(({ from, values }) => (from === '@azure/functions' ? values : []))
  const isTest = path.startsWith('test/')
  return [
    ...(lines > MOST_LINES && !isTest && !path.startsWith('bench/')
      ? [`has ${lines} lines, ${MOST_LINES} are the most`]
      : []),
    ...(lines > MOST_TRIGGER_LINES && path.startsWith('functions/')
      ? [`a trigger has at most ${MOST_TRIGGER_LINES} lines`]
      : []),
    ...(/\bexport\s+default\b|\bas\s+default\b/.test(code) && !/\.setup\.ts$/.test(file)
      ? ['exports by name, not by default']
      : []),
    ...(/^(?:utils?|helpers?|types?|common|misc)\.ts$/.test(file) ||
    !/^[a-z0-9]+(?:[-.][a-z0-9]+)*\.ts$/.test(file)
      ? ['a file is named after its job, in kebab-case']
      : []),
    ...values
      .filter((name) => !isTest && !bindings.includes(name))
      .map((name) => `${name} of @azure/functions does not exist at run time: import its type`),
  ]
}

/** `functions/index.ts` is what the platform loads: what it does not import does not exist. */
function list({ imports }: Source, sources: Source[]): string[] {
  const known = new Set(imports.map(({ from }) => posix.join('functions', from)))
  return sources
    .filter(
      ({ path }) =>
        path.startsWith('functions/') && path !== 'functions/index.ts' && !known.has(path),
    )
    .map(({ path }) => `does not import ${path}`)
}

function tests({ code }: Source): string[] {
  return [
    ...(/\bvi\s*\.\s*(?:mock|doMock|hoisted)\b/.test(code)
      ? ['a module is mocked: use the real thing near at hand']
      : []),
    ...(/\b(?:test|it|describe)\s*\.\s*(?:skip|only|todo|fails)\b/.test(code)
      ? ['a test is skipped, or the only one']
      : []),
    ...(/\btoMatch(?:Inline|File)?Snapshot\b/.test(code) ? ['a snapshot promises nothing'] : []),
  ]
}
