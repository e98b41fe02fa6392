import { describe, expect, test } from 'vitest'
import { findBreaches } from './house.ts'
import { limits, measure, walkFiles, walks } from './house-measure.ts'
import { readSources, readTree, type Tree } from './house-source.ts'

const tree = readTree(new URL('..', import.meta.url).pathname)
const sources = readSources(tree)

test('the house is in order', () => {
  const breaches = findBreaches(tree)

  expect(Object.keys(tree).length).toBeGreaterThan(50)
  expect(breaches).toEqual([])
})

test.each(walks.filter(({ max }) => max !== undefined))(
  'the walk $name reads at most $max files',
  (walk) => {
    const files = walkFiles(sources, walk)

    expect(files.length).toBeGreaterThan(walk.from.length)
    expect(files.length, files.join('\n')).toBeLessThanOrEqual(walk.max ?? 0)
  },
)

/** A small house in order, which the tests below bring out of order. */
const good: Tree = {
  'package.json':
    '{"dependencies": {"@azure/functions": "1", "durable-functions": "1", "zod": "1"}}',
  'biome.json': '{"formatter": {"lineWidth": 100}}',
  'functions/index.ts': "import './poll.ts'\n",
  'functions/poll.ts': [
    "import { app } from '@azure/functions'",
    "import * as df from 'durable-functions'",
    "import { poll } from '../shared/app/flows.ts'",
    "import { names } from '../shared/exports/names.ts'",
    "import { run } from '../shared/exports/run.ts'",
  ].join('\n'),
  'shared/app.ts': [
    "import { setTimeout as sleep } from 'node:timers/promises'",
    "import { flow } from './app/flows.ts'",
    'export const now = () => new Date()',
    'const env = process.env',
    'export function useOverrides() {}',
  ].join('\n'),
  'shared/app/flows.ts': [
    "import { z } from 'zod'",
    "import type { HttpRequest } from '@azure/functions'",
    "import { record } from '../av-health/record.ts'",
    "export { log } from '../platform/log.ts'",
  ].join('\n'),
  'shared/app/http.ts': "import { theApp } from '../app.ts'\n",
  'shared/av-health/record.ts': [
    "import { lines } from '../exports/lines.ts'",
    "import { field } from './fields/index.ts'",
    '// setTimeout(() => process.env, Date.now())',
    '/* import x from "../changes/poll.ts" */',
    `const said = "Date.now() and process.env" + \`new Date() \${field(\`process.env \${1}\`)} setTimeout\``,
    "const pattern = /[/'\"`]process.env/.test(said) // '",
    'const at = new Date(0).getTime() / 2 / Date.parse(said)',
    'export const fact = { process: 1, setTimeout: said }.process',
  ].join('\n'),
  'shared/av-health/fields/index.ts': 'export const field = (name: string) => name\n',
  'shared/exports/names.ts': "export const names = { run: 'export-run' } as const\n",
  'shared/exports/lines.ts': "import { call } from '../upstreams/defender.ts'\n",
  'shared/exports/run.ts': [
    "import type { OrchestrationContext } from 'durable-functions'",
    "import * as df from 'durable-functions'",
    "import { type Begun, names } from './names.ts'",
    '// An await or Math.random() would differ.',
    'export const due = (context: OrchestrationContext) =>',
    '  new Date(context.df.currentUtcDateTime.getTime() + Math.max(2, 1))',
  ].join('\n'),
  'shared/upstreams/defender.ts':
    "import { createHash } from 'node:crypto'\nimport { log } from '../platform/log.ts'\n",
  'shared/platform/log.ts': 'export const log = console\n',
  'local/start.ts':
    "import { app } from '@azure/functions'\nimport { useOverrides } from '../shared/app.ts'\nconst load = () => import('../functions/index.ts')\n",
  'test/log.test.ts': "import azure from '@azure/functions'\nconst now = Date.now()\n",
}

test('a house in order has no breach, with any comments, texts and patterns', () => {
  expect(findBreaches(good)).toEqual([])
})

const add = (path: string, ...lines: string[]): Tree => ({
  [path]: [good[path] ?? '', ...lines].join('\n'),
})
const long = (lines: number) => Array.from({ length: lines }, () => '// a line').join('\n')

describe('a breach is reported with its file and its rule', () => {
  test.each<[rule: string, change: Tree, message: string]>([
    [
      'a domain imports another',
      add('shared/av-health/record.ts', "import '../changes/poll.ts'"),
      'the arrow from av-health to shared/changes/poll.ts goes sideways',
    ],
    [
      'an engine imports another',
      add('shared/exports/lines.ts', "import { feed } from '../events/feed.ts'"),
      'the arrow from exports to shared/events/feed.ts goes sideways',
    ],
    [
      'an engine imports a domain',
      add('shared/exports/lines.ts', "import type { R } from '../av-health/record.ts'"),
      'the arrow from exports to shared/av-health/record.ts goes to the left',
    ],
    [
      'platform knows somebody',
      add('shared/platform/log.ts', "export * from '../upstreams/defender.ts'"),
      'the arrow from platform to shared/upstreams/defender.ts goes to the left',
    ],
    [
      'a domain reaches for the parts',
      add('shared/av-health/record.ts', "const { app } = await import('../app.ts')"),
      'the arrow from av-health to shared/app.ts goes to the left',
    ],
    [
      'what is shared imports a trigger',
      add('shared/app/flows.ts', "import '../../functions/poll.ts'"),
      'the arrow from app to functions/poll.ts goes to the left',
    ],
    [
      'a multi-line import',
      add(
        'shared/platform/log.ts',
        'import {',
        '  type A,',
        '  b,',
        "} from '../exports/lines.ts'",
      ),
      'the arrow from platform to shared/exports/lines.ts goes to the left',
    ],
    [
      'a file in no room',
      { 'shared/other.ts': 'export const a = 1' },
      'stands in no room of the house',
    ],
    [
      'a folder that is no room',
      { 'shared/helpful/other.ts': 'export const a = 1' },
      'stands in no room of the house',
    ],
    [
      'an import out of the house',
      add('shared/app/flows.ts', "import '../other.ts'"),
      'imports shared/other.ts, which stands in no room of the house',
    ],
    [
      'a trigger imports a domain',
      add('functions/poll.ts', "import { r } from '../shared/av-health/record.ts'"),
      'a trigger may import the app, orchestrations and lists of names alone, not shared/av-health/record.ts',
    ],
    [
      'a trigger imports an engine',
      add('functions/poll.ts', "import { r } from '../shared/exports/lines.ts'"),
      'a trigger may import the app, orchestrations and lists of names alone, not shared/exports/lines.ts',
    ],
    [
      'a trigger imports a package',
      add('functions/poll.ts', "import { z } from 'zod'"),
      'a trigger may not import the package zod',
    ],
    [
      'what is deployed imports local',
      add('shared/app.ts', "import '../local/start.ts'"),
      'is deployed and imports local/start.ts, which is not',
    ],
    [
      'a trigger imports a test',
      add('functions/poll.ts', "import type { T } from '../test/storage.ts'"),
      'is deployed and imports test/storage.ts, which is not',
    ],
    [
      'what is deployed imports a benchmark',
      add('shared/app/flows.ts', "import '../../bench/stub.ts'"),
      'is deployed and imports bench/stub.ts, which is not',
    ],
    [
      'a package that is not deployed',
      add('shared/app/flows.ts', "import fc from 'fast-check'"),
      'imports fast-check, which is no dependency (built-in modules begin with node:)',
    ],
    [
      'an environment reader',
      add('shared/platform/log.ts', 'const level = process.env.LEVEL'),
      'process is read in shared/app.ts alone',
    ],
    [
      'an environment reader in disguise',
      add('shared/platform/log.ts', 'const { env } = process'),
      'process is read in shared/app.ts alone',
    ],
    [
      'an environment reader in a template',
      add('shared/platform/log.ts', `const level = \`a \${process.env.LEVEL} b\``),
      'process is read in shared/app.ts alone',
    ],
    [
      'a trigger that reads the environment',
      add('functions/poll.ts', "const s = process.env['S']"),
      'process is read in shared/app.ts alone',
    ],
    [
      'a setting read by hand',
      add('shared/app/flows.ts', 'const level = app.env.LEVEL?.trim()'),
      'settings are read through their schema, by shared/platform/config.ts',
    ],
    [
      'a setting read by a computed name',
      add('shared/app/flows.ts', 'const level = env[name]'),
      'settings are read through their schema, by shared/platform/config.ts',
    ],
    [
      'a setting taken out of the environment',
      add('shared/app/flows.ts', 'const { LEVEL: level } = app.env'),
      'settings are read through their schema, by shared/platform/config.ts',
    ],
    [
      'an imported environment',
      add('shared/platform/log.ts', "import { env } from 'node:process'"),
      'imports node:process: the outside world is seen in shared/app.ts alone',
    ],
    [
      'Date.now',
      add('shared/av-health/record.ts', 'const at = Date.now()'),
      'time comes from the clock',
    ],
    [
      'new Date without argument',
      add('shared/av-health/record.ts', 'const at = new Date( )'),
      'time comes from the clock',
    ],
    [
      'new Date without brackets',
      add('shared/av-health/record.ts', 'const at = new Date'),
      'time comes from the clock',
    ],
    [
      'Date called as a function',
      add('shared/av-health/record.ts', 'const at = Date()'),
      'time comes from the clock',
    ],
    [
      'performance.now',
      add('shared/av-health/record.ts', 'const at = performance.now()'),
      'time comes from the clock',
    ],
    [
      'setTimeout',
      add('shared/exports/lines.ts', 'setTimeout(() => {}, 1)'),
      'time passes by the clock',
    ],
    [
      'setInterval',
      add('shared/exports/lines.ts', 'const every = setInterval'),
      'time passes by the clock',
    ],
    [
      'setImmediate in a trigger',
      add('functions/poll.ts', 'setImmediate(() => {})'),
      'time passes by the clock',
    ],
    [
      'imported timers',
      add('shared/exports/lines.ts', "import * as timers from 'node:timers'"),
      'imports node:timers: the outside world is seen in shared/app.ts alone',
    ],
    [
      'imported timers of the other kind',
      add('shared/app/flows.ts', "import { scheduler } from 'node:timers/promises'"),
      'imports node:timers/promises: the outside world is seen in shared/app.ts alone',
    ],
    [
      'parts replaced from within',
      add('shared/app/flows.ts', 'useOverrides({})'),
      'useOverrides is for laptops and tests',
    ],
    [
      'a require',
      add('shared/platform/log.ts', "const fs = require('fs')"),
      'imports are written out, so that the house can see them',
    ],
    [
      'a computed import',
      add('shared/platform/log.ts', 'const other = import(name)'),
      'imports are written out, so that the house can see them',
    ],
    [
      'an orchestration with another import',
      add('shared/exports/run.ts', "import { lines } from './lines.ts'"),
      'an orchestration imports durable-functions and its names alone, not ./lines.ts',
    ],
    [
      'an orchestration with chance',
      add('shared/exports/run.ts', 'const a = Math.random()'),
      'an orchestration is played again and again: Math may differ each time',
    ],
    [
      'an orchestration with a date',
      add('shared/exports/run.ts', 'const a = new Date(1)'),
      'an orchestration is played again and again: Date may differ each time',
    ],
    [
      'an orchestration with a random id',
      add('shared/exports/run.ts', 'const a = crypto.randomUUID()'),
      'an orchestration is played again and again: crypto may differ each time',
    ],
    [
      'an orchestration that awaits',
      add('shared/exports/run.ts', 'for await (const a of b) {}'),
      'an orchestration is played again and again: await may differ each time',
    ],
    [
      'an orchestration that is async',
      add('shared/exports/run.ts', 'export async function* a() {}'),
      'an orchestration is played again and again: async may differ each time',
    ],
    [
      'an orchestration that fetches',
      add('shared/exports/run.ts', "const a = fetch('https://x')"),
      'an orchestration is played again and again: fetch may differ each time',
    ],
    [
      'an unregistered orchestration',
      add(
        'shared/av-health/record.ts',
        "import type { OrchestrationContext } from 'durable-functions'",
      ),
      'an orchestration is not in the list of the house',
    ],
    [
      'a list of names that imports',
      add('shared/exports/names.ts', "import { a } from './lines.ts'"),
      'a list of names imports nothing, not ./lines.ts',
    ],
    [
      'a class of the library as a value',
      add(
        'shared/app/flows.ts',
        "import { type A, app, HttpRequest as R } from '@azure/functions'",
      ),
      'HttpRequest of @azure/functions does not exist at run time: import its type',
    ],
    [
      'the whole library as a value',
      add('local/start.ts', "import * as azure from '@azure/functions'"),
      '* of @azure/functions does not exist at run time: import its type',
    ],
    [
      'the default of the library',
      add('local/start.ts', "import azure from '@azure/functions'"),
      'default of @azure/functions does not exist at run time: import its type',
    ],
    [
      'a default export',
      add('shared/platform/log.ts', 'export default 1'),
      'exports by name, not by default',
    ],
    [
      'a renamed default export',
      add('shared/platform/log.ts', 'export { log as default }'),
      'exports by name, not by default',
    ],
    ['a long file', { 'shared/platform/log.ts': long(301) }, 'has 301 lines, 300 are the most'],
    [
      'a long local file',
      { 'local/start.ts': `${long(301)}\n` },
      'has 301 lines, 300 are the most',
    ],
    ['a long trigger', add('functions/poll.ts', long(40)), 'a trigger has at most 40 lines'],
    [
      'a drawer for everything',
      { 'shared/platform/utils.ts': '' },
      'a file is named after its job, in kebab-case',
    ],
    [
      'a name in another case',
      { 'shared/platform/batchWriter.ts': '' },
      'a file is named after its job, in kebab-case',
    ],
    [
      'a trigger that is not loaded',
      { 'functions/other.ts': '' },
      'does not import functions/other.ts',
    ],
    [
      'a mocked module',
      { 'test/log.test.ts': "vi.mock('../shared/platform/log.ts')" },
      'a module is mocked: use the real thing near at hand',
    ],
    [
      'a skipped test',
      { 'test/log.test.ts': "test.skip('x', () => {})" },
      'a test is skipped, or the only one',
    ],
    [
      'a lonely test',
      { 'test/log.test.ts': "describe.only('x', () => {})" },
      'a test is skipped, or the only one',
    ],
    [
      'a snapshot',
      { 'test/log.test.ts': 'expect(1).toMatchInlineSnapshot()' },
      'a snapshot promises nothing',
    ],
  ])('%s', (_rule, change, message) => {
    // An arrow that goes to the left may close a circle as well.
    const breaches = findBreaches({ ...good, ...change }).filter(
      (sentence) => !sentence.startsWith('a circle'),
    )

    const file = message.startsWith('does not import')
      ? 'functions/index.ts'
      : Object.keys(change)[0]
    expect(breaches).toEqual([`${file}: ${message}`])
  })
})

/** Files of a room without importers. */
const many = (count: number, text = ''): Tree =>
  Object.fromEntries(
    Array.from({ length: count }, (_, index) => [`shared/exports/part-${index}.ts`, text]),
  )
const importing = (names: string[]) => names.map((name) => `import './${name}.ts'`).join('\n')

/** So many files of one folder, each imported by one file there. */
const singleUse = (count: number, importer: string): Tree => ({
  ...many(count),
  [`shared/exports/${importer}`]: importing(
    Array.from({ length: count }, (_, index) => `part-${index}`),
  ),
})

describe('a breach of the whole is reported', () => {
  test.each<[rule: string, change: Tree, message: string | RegExp]>([
    [
      'two files that import one another',
      {
        'shared/exports/lines.ts': "import { file } from './file.ts'",
        'shared/exports/file.ts': "import type { Line } from './lines.ts'",
      },
      'a circle of files: shared/exports/file.ts, shared/exports/lines.ts',
    ],
    [
      'a circle of three through a list',
      {
        ...add('shared/av-health/fields/index.ts', "import './name.ts'"),
        'shared/av-health/fields/name.ts': "export type { Field } from '../read.ts'",
        'shared/av-health/read.ts': "import type { F } from './fields/index.ts'",
      },
      'a circle of files: shared/av-health/fields/index.ts, shared/av-health/fields/name.ts, shared/av-health/read.ts',
    ],
    [
      'a file that imports itself',
      add('shared/exports/lines.ts', "import './lines.ts'"),
      'a circle of files: shared/exports/lines.ts',
    ],
    [
      'more helpers beside their only importer than may be',
      singleUse(limits.singleUse + 1, 'all.ts'),
      /^13 files have one importer, in their own folder, 12 are the most: shared\/exports\/part-0\.ts, /,
    ],
    [
      'more files than may be deployed',
      many(limits.files),
      new RegExp(`^\\d+ files are deployed, ${limits.files} are the most$`),
    ],
    [
      'more characters than may be deployed',
      { 'shared/exports/long.ts': `// ${'x'.repeat(limits.characters)}` },
      /^\d+ characters are deployed, \d+ are the most$/,
    ],
    [
      'a wider line',
      { 'biome.json': '{"formatter": {"lineWidth": 120}}' },
      'biome.json: lineWidth is 100, since lines are counted at that width',
    ],
    [
      'a wider line in some files',
      { 'biome.json': '{"formatter": {"lineWidth": 100}, "overrides": [{"lineWidth":120}]}' },
      'biome.json: lineWidth is 100, since lines are counted at that width',
    ],
    [
      'the width of the formatter itself',
      { 'biome.json': '{}' },
      'biome.json: lineWidth is 100, since lines are counted at that width',
    ],
  ])('%s', (_rule, change, message) => {
    const breaches = findBreaches({ ...good, ...change })

    expect(breaches).toEqual([
      typeof message === 'string' ? message : expect.stringMatching(message),
    ])
  })

  test.each<[what: string, change: Tree]>([
    ['as many helpers as may be', singleUse(limits.singleUse, 'all.ts')],
    ['members of a list', singleUse(limits.singleUse + 8, 'index.ts')],
    [
      'what is imported from another folder',
      {
        ...many(30),
        'shared/av-health/all.ts':
          singleUse(30, 'x')['shared/exports/x']?.replaceAll('./', '../exports/') ?? '',
      },
    ],
    ['what two files import', { ...singleUse(30, 'all.ts'), ...singleUse(30, 'more.ts') }],
    [
      'a circle in what is not deployed',
      { 'local/a.ts': "import './b.ts'", 'local/b.ts': "import './a.ts'" },
    ],
  ])('%s: no breach', (_what, change) => {
    expect(findBreaches({ ...good, ...change })).toEqual([])
  })
})

describe('a walk', () => {
  const files = readSources({
    'shared/changes/poll.ts':
      "import '../platform/log.ts'\nimport type { T } from '../platform/table.ts'",
    'shared/platform/table.ts': "export type { E } from './errors.ts'",
    'shared/platform/log.ts': "import './redact.ts'",
    'shared/platform/redact.ts': "import './errors.ts'",
    'shared/platform/errors.ts': '',
    'shared/platform/queue.ts': "import '../platform/log.ts'",
    'test/poll.test.ts': '',
  })

  test('reads what its files import, directly or not, for their types as well', () => {
    const walk = walkFiles(files, { name: 'w', from: ['shared/changes/poll.ts'] })

    expect(walk).toEqual([
      'shared/changes/poll.ts',
      'shared/platform/errors.ts',
      'shared/platform/log.ts',
      'shared/platform/redact.ts',
      'shared/platform/table.ts',
    ])
  })

  test('goes past a file and what only this file imports', () => {
    const walk = walkFiles(files, {
      name: 'w',
      from: ['shared/changes/poll.ts'],
      past: ['shared/platform/log.ts'],
    })

    expect(walk).toEqual([
      'shared/changes/poll.ts',
      'shared/platform/errors.ts',
      'shared/platform/table.ts',
    ])
  })

  test('names only existing files', () => {
    const walk = { name: 'w', from: ['shared/changes/poll.ts'], past: ['shared/gone.ts'] }

    expect(() => walkFiles(files, walk)).toThrow('names files that are not there: shared/gone.ts')
  })

  test('without a limit has its files too', () => {
    for (const walk of walks)
      expect(walkFiles(sources, walk)).toEqual(expect.arrayContaining(walk.from))
  })
})

test('what is deployed is counted, and nothing else', () => {
  const few = readSources({
    'shared/a.ts': 'ä\nb\n',
    'functions/b.ts': '12345',
    'local/c.ts': 'not counted',
  })

  const { files, characters, longest } = measure(few)

  expect({ files, characters }).toEqual({ files: 2, characters: 9 })
  expect(longest).toEqual([
    { path: 'shared/a.ts', lines: 2 },
    { path: 'functions/b.ts', lines: 1 },
  ])
})
