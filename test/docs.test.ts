import { existsSync, globSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { VERSION } from '../shared/app/sections/base.ts'
import {
  avHealthSettings,
  baseSettings,
  defenderSettings,
  settingNames,
} from '../shared/app/settings.ts'

const read = (file: string) => readFileSync(new URL(`../${file}`, import.meta.url), 'utf8')
const readme = read('README.md')

describe('the README', () => {
  const rows = [...readme.matchAll(/^\| `([A-Z][A-Za-z_]+)` \| (.+?) \|/gm)].map(
    ([, name = '', value = '']) => ({
      name,
      value: value.replaceAll('`', ''),
    }),
  )

  test('lists exactly the settings that the app reads', () => {
    expect(rows.map(({ name }) => name).sort()).toEqual([...settingNames].sort())
  })

  test('names the defaults that the code has', () => {
    const shapes = { ...baseSettings, ...defenderSettings, ...avHealthSettings }
    const defaults = Object.entries(shapes).map(([name, shape]) => [
      name,
      shape.safeParse(undefined).data,
    ])

    for (const [name, value] of defaults.filter(([, known]) => known !== undefined)) {
      expect({ name, value: String(value) }).toEqual(rows.find((row) => row.name === name))
    }
  })

  test('lists every problem type that the code answers', () => {
    const sources = globSync('shared/**/*.ts', {
      cwd: fileURLToPath(new URL('..', import.meta.url)),
    })
    const answered = sources.flatMap((file) =>
      [...read(file).matchAll(/\bproblem: (?:\w+ \? )?'([a-z-]+)'(?: : '([a-z-]+)')?/g)].flatMap(
        ([, ...names]) => names,
      ),
    )
    const names = [...new Set(answered.filter((name) => name !== undefined))]

    expect(names.length).toBeGreaterThan(10)
    expect(names.filter((name) => !readme.includes(name))).toEqual([])
  })

  test('and the architecture page name only files that exist', () => {
    const named = [
      ...`${readme}${read('docs/architecture.md')}`.matchAll(
        /`((?:shared|local|test|docs)\/[\w/.-]+)`/g,
      ),
    ]

    expect(
      named
        .map(([, file = '']) => file)
        .filter((file) => !existsSync(new URL(`../${file}`, import.meta.url))),
    ).toEqual([])
  })
})

test('the version stands in one place more than package.json, and both agree', () => {
  expect(VERSION).toBe(JSON.parse(read('package.json')).version)
})

test('nothing that is shipped names a registry or another folder of this machine', () => {
  const lock = read('package-lock.json')

  expect(lock).not.toMatch(/"resolved": "http/)
})
