import { builtinModules } from 'node:module'
import { posix } from 'node:path'
import { limits, measure } from './house-measure.ts'
import { isDeployed, readSources, type Source, type Tree } from './house-source.ts'

/** From left to right; an arrow goes to the right or stays in its room. */
const RANKS = [
  ['functions'],
  ['app'],
  ['changes', 'scan-history', 'av-health', 'devices'],
  ['events', 'exports'],
  ['upstreams'],
  ['platform'],
]
const ORCHESTRATIONS = ['shared/exports/run.ts']
const NAMES = ['shared/exports/names.ts']
const PARTS = 'shared/app.ts'
const MAX_TRIGGER_LINES = 40
const SETTINGS = 'shared/platform/config.ts'

/** Everything in which a tree breaks the rules of the house; each sentence names file and rule. */
export function findBreaches(tree: Tree): string[] {
  const sources = readSources(tree)
  const { dependencies = {} }: { dependencies?: Record<string, string> } = JSON.parse(
    tree['package.json'] ?? '{}',
  )
  const packages = new Set([
    ...builtinModules.map((name) => `node:${name}`),
    ...Object.keys(dependencies),
  ])
  const perFile = sources.flatMap((source) =>
    [
      ...arrows(source, packages),
      ...outsideWorld(source),
      ...orchestration(source),
      ...form(source),
      ...(source.path === 'functions/index.ts' ? list(source, sources) : []),
      ...(source.path.startsWith('test/') ? tests(source) : []),
    ].map((sentence) => `${source.path}: ${sentence}`),
  )
  return [...perFile, ...width(tree), ...size(sources)]
}

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
  [/(?<![.\w$])useOverrides\b/, 'useOverrides is for laptops and tests'],
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
    ...(lines > limits.lines && !isTest && !path.startsWith('bench/')
      ? [`has ${lines} lines, ${limits.lines} are the most`]
      : []),
    ...(lines > MAX_TRIGGER_LINES && path.startsWith('functions/')
      ? [`a trigger has at most ${MAX_TRIGGER_LINES} lines`]
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

/** Lines are counted at one width: a wider one would make every file shorter. */
function width(tree: Tree): string[] {
  const widths = [...(tree['biome.json'] ?? '').matchAll(/"lineWidth"\s*:\s*(\d+)/g)].map(
    ([, digits]) => Number(digits),
  )
  return widths.length > 0 && widths.every((value) => value === limits.lineWidth)
    ? []
    : [`biome.json: lineWidth is ${limits.lineWidth}, since lines are counted at that width`]
}

/** What is deployed as a whole: how much it is, and how its files hang together. */
function size(sources: Source[]): string[] {
  const { files, characters, circles, singleUse } = measure(sources)
  return [
    ...circles.map((circle) => `a circle of files: ${circle.join(', ')}`),
    ...(singleUse.length > limits.singleUse
      ? [
          `${singleUse.length} files have one importer, in their own folder, ${limits.singleUse} are the most: ${singleUse.join(', ')}`,
        ]
      : []),
    ...(files > limits.files ? [`${files} files are deployed, ${limits.files} are the most`] : []),
    ...(characters > limits.characters
      ? [`${characters} characters are deployed, ${limits.characters} are the most`]
      : []),
  ]
}
