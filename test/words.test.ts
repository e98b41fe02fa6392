import { globSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { findGoneWords } from './words.ts'

const root = new URL('..', import.meta.url)

/** Code, templates, scripts and documents. The API descriptions in `docs/` are made from the code. */
const paths = globSync(
  [
    '{functions,shared,portal,local,bench,test}/**/*.{ts,mjs,cjs}',
    'bicep/**/*.{bicep,bicepparam,kql,sh}',
    'docs/**/*.md',
    '*.{md,ts}',
  ],
  { cwd: root.pathname },
).map((path) => path.replaceAll('\\', '/'))

test('no file uses a word that is gone', () => {
  const tree = paths.map((path) => [path, readFileSync(new URL(path, root), 'utf8')])

  expect(paths.length).toBeGreaterThan(300)
  expect(findGoneWords(Object.fromEntries(tree))).toEqual([])
})

test.each<[what: string, path: string, text: string, found: string]>([
  [
    'an identifier',
    'shared/changes/poll.ts',
    '// Reads.\n\nconst read = readWatch(table)\n',
    'shared/changes/poll.ts:3: "readWatch" is gone; use: PollContext, PollState, readPollState, UpstreamHealth',
  ],
  [
    'a member',
    'shared/app.ts',
    'report.overdueTold = 1',
    'shared/app.ts:1: "overdueTold" is gone; use: sent, reported, isExpectedError, overdueSent',
  ],
  [
    'an identifier of one folder',
    'shared/events/delivery/store.ts',
    'const { round } = row',
    'shared/events/delivery/store.ts:1: "round" is gone; use: redeliver, redeliverAll, generation',
  ],
  [
    'the name of a source file',
    'shared/app/watchfulness.ts',
    '',
    'shared/app/watchfulness.ts: the file name "watchfulness" is gone; use: heartbeat',
  ],
  [
    'the name of a test file',
    'test/changes/fate.test.ts',
    '',
    'test/changes/fate.test.ts: the file name "fate" is gone; use: fault-injector',
  ],
  [
    'a word of a comment',
    'local/start.ts',
    '/**\n * Begins\n * Anew.\n */',
    'local/start.ts:3: "Anew" is gone; use: again',
  ],
  [
    'words of a text',
    'functions/timers.ts',
    "log.info('none of ours')",
    'functions/timers.ts:1: "none of ours" is gone; use: unknown',
  ],
  [
    'a word of a document',
    'docs/operate.md',
    '# A\nMend it.',
    'docs/operate.md:2: "Mend" is gone; use: fix',
  ],
])('%s that is gone is found, with its line and the word to use', (_what, path, text, found) => {
  expect(findGoneWords({ [path]: text })).toEqual([found])
})

test.each([
  ['an identifier in a text', 'shared/app.ts', "const name = 'readWatch'"],
  ['a word inside another one', 'shared/app.ts', '// A commander heads it; a bestower shares.'],
  ['a longer identifier', 'shared/app.ts', 'const watchers = keptAlive'],
  ['a word of another folder', 'local/simulator/layout.ts', 'const round = Math.round(kept)'],
  ['a rounded number', 'shared/events/feed/read.ts', 'const seconds = Math.round(ms / 1000)'],
])('%s is not found', (_what, path, text) => {
  expect(findGoneWords({ [path]: text })).toEqual([])
})
