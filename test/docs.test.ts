import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { problemTypes } from '../local/tools/describe/problem-types.ts'
import { VERSION } from '../shared/app/sections/base.ts'
import {
  avHealthSettings,
  baseSettings,
  changesSettings,
  defenderSettings,
  scanHistorySettings,
  settingNames,
  tenableSettings,
} from '../shared/app/settings.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const read = (file: string) => readFileSync(join(root, file), 'utf8')
const pages = ['README.md', 'SECURITY.md', ...globSync('docs/*.md', { cwd: root })].map((path) => ({
  path: path.replaceAll('\\', '/'),
  text: read(path),
}))

describe('the page on settings', () => {
  const rows = [...read('docs/settings.md').matchAll(/^\| `([A-Z][A-Za-z_]+)` \| (.+?) \|/gm)].map(
    ([, name = '', value = '']) => ({ name, value: value.replaceAll('`', '') }),
  )

  test('lists exactly the settings that the app reads', () => {
    expect(rows.map(({ name }) => name).sort()).toEqual([...settingNames].sort())
  })

  test('names the defaults that the code has', () => {
    const shapes = {
      ...baseSettings,
      ...defenderSettings,
      ...changesSettings,
      ...avHealthSettings,
      ...tenableSettings,
      ...scanHistorySettings,
    }
    const defaults = Object.entries(shapes).map(([name, shape]) => [
      name,
      shape.safeParse(undefined).data,
    ])

    for (const [name, value] of defaults.filter(([, known]) => known !== undefined)) {
      expect({ name, value: String(value) }).toEqual(rows.find((row) => row.name === name))
    }
  })
})

describe('the table of problem types', () => {
  const sources = globSync('shared/**/*.ts', { cwd: root }).map(read).join('\n')

  test('lists exactly the types that the code answers', () => {
    const answered = [
      ...sources.matchAll(/\bproblem: (?:\w+ \? )?'([a-z-]+)'(?: : '([a-z-]+)')?/g),
    ].flatMap(([, ...names]) => names.filter((name) => name !== undefined))

    expect(Object.keys(problemTypes).sort()).toEqual([...new Set(answered)].sort())
  })

  test('names the status that stands beside each type in the code', () => {
    const before = [...sources.matchAll(/\bstatus: (\d{3}),\s*problem: '([a-z-]+)'/g)].map(
      ([, status, name = '']) => [name, Number(status)] as const,
    )
    const after = [...sources.matchAll(/\bproblem: '([a-z-]+)',\s*status: (\d{3})/g)].map(
      ([, name = '', status]) => [name, Number(status)] as const,
    )
    const pairs = [...before, ...after]

    expect(pairs.length).toBeGreaterThan(18)
    expect(
      pairs.filter(([name, status]) => !problemTypes[name]?.statuses.includes(status)),
    ).toEqual([])
  })
})

describe('the pages', () => {
  test('begin with a sentence that says for whom they are', () => {
    const others = pages.filter(({ text }) => !/^# .+\n\nFor .+[.:]/.test(text))

    expect(others.map(({ path }) => path)).toEqual([])
  })

  test('are all named in the README, which fits on a few screens', () => {
    const readme = read('README.md')

    expect(
      pages.filter(({ path }) => path !== 'README.md' && !readme.includes(`(${path})`)),
    ).toEqual([])
    expect(readme.split('\n').length).toBeLessThanOrEqual(200)
  })

  test('name only files that exist', () => {
    const pattern = /`((?:shared|local|test|docs|bicep|functions|bench)\/[\w/.-]+)/g
    const named = pages.flatMap(({ text }) =>
      [...text.matchAll(pattern)].map(([, file = '']) => file),
    )

    expect(named.length).toBeGreaterThan(50)
    expect(named.filter((file) => !existsSync(join(root, file)))).toEqual([])
  })

  test('link only to pages and headings that exist', () => {
    const links = pages.flatMap(({ path, text }) =>
      [...text.matchAll(/\]\((?!https?:)([^)\s#]*)(?:#([^)\s]*))?\)/g)].map(
        ([, target = '', anchor]) => ({
          from: path,
          to: target === '' ? path : join(dirname(path), target),
          anchor,
        }),
      ),
    )
    const isBroken = ({ to, anchor }: (typeof links)[number]) =>
      !existsSync(join(root, to)) || (anchor !== undefined && !anchorsOf(read(to)).includes(anchor))

    expect(links.length).toBeGreaterThan(50)
    expect(links.filter(isBroken)).toEqual([])
  })
})

/** The anchors of a page's headings, as GitHub makes them. */
function anchorsOf(text: string): string[] {
  const seen = new Map<string, number>()
  const prose = text.replace(/^```[\s\S]*?^```$/gm, '')
  return [...prose.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => {
    const anchor = heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}_ -]/gu, '')
      .replaceAll(' ', '-')
    const times = seen.get(anchor) ?? 0
    seen.set(anchor, times + 1)
    return times === 0 ? anchor : `${anchor}-${times}`
  })
}

test('the version stands in one place more than package.json, and both agree', () => {
  expect(VERSION).toBe(JSON.parse(read('package.json')).version)
})

test('nothing that is shipped names a registry or another folder of this machine', () => {
  const lock = read('package-lock.json')

  expect(lock).not.toMatch(/"resolved": "http/)
})
