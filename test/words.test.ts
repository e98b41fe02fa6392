import { globSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { findGoneWords } from './words.ts'

const root = new URL('..', import.meta.url)

/** Every file that people read: code, templates, scripts and documents; what is made from code is checked there. */
const paths = globSync(
  [
    '{functions,shared,local,bench,test}/**/*.{ts,mjs,cjs}',
    'bicep/**/*.{bicep,bicepparam,kql,sh}',
    'docs/**/*.md',
    '*.{md,ts}',
  ],
  { cwd: root.pathname },
).map((path) => path.replaceAll('\\', '/'))
const tree = Object.fromEntries(
  paths.map((path) => [path, readFileSync(new URL(path, root), 'utf8')]),
)

test('no file uses a word that is gone', () => {
  expect(paths.length).toBeGreaterThan(300)
  expect(findGoneWords(tree)).toEqual([])
})
