import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { httpRoutes } from '../shared/app/http.ts'
import * as settings from '../shared/app/settings.ts'
import { clouds } from '../shared/upstreams/clouds.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const read = (file: string) => readFileSync(join(root, file), 'utf8')
const page = read('SECURITY.md')

const namesIn = (text: string) =>
  [...text.matchAll(/`([a-z][a-z-]+)`/g)].map(([, name = '']) => name)
/** Beside the routes of the API. */
const others = [
  { name: 'mcp', auth: 'function' },
  { name: 'portal', auth: 'anonymous' },
]
const named = (auth: string) =>
  [...httpRoutes, ...others].filter((route) => route.auth === auth).map(({ name }) => name)

describe('SECURITY.md', () => {
  const callers = ['reader', 'automation author', 'operator'].map((caller) =>
    namesIn(new RegExp(`^\\| ${caller}: [^|]*\\|(.*)\\|$`, 'm').exec(page)?.[1] ?? ''),
  )

  test('gives every function that needs a key to exactly one kind of caller', () => {
    expect(callers.flat().sort()).toEqual(named('function').sort())
  })

  test('names the functions that need no key', () => {
    const sentence = /^.*`health`,[\s\S]*?need no key/m.exec(page)?.[0] ?? ''

    expect(namesIn(sentence).sort()).toEqual(named('anonymous').sort())
  })

  test('has a command that sets a key for just the functions of each kind of caller', () => {
    const loops = [...page.matchAll(/for FUNCTION in ([\s\S]*?); do/g)].map(([, list = '']) =>
      list.split(/[\s\\]+/).filter(Boolean),
    )

    expect(loops).toEqual(callers)
  })

  test('names only settings that exist, with their defaults', () => {
    const shapes = Object.assign(
      {},
      ...Object.values(settings).filter((one) => typeof one === 'object'),
    )
    const names = [...page.matchAll(/`([A-Z][A-Z]+_[A-Z_]+)`(?: \((\d+) days\))?/g)]

    expect(names.length).toBeGreaterThan(10)
    for (const [, name = '', days] of names) {
      expect(settings.settingNames).toContain(name)
      if (days)
        expect({ name, days: shapes[name].parse(undefined) }).toEqual({ name, days: Number(days) })
    }
  })

  test('names every table of the app and every host that a cloud can lead to', () => {
    const base = read('shared/app/sections/base.ts')
    const tables =
      /\[([^\]]+)\]\.map\(\s*\(name\) => table\(name\)/.exec(base)?.[1]?.match(/\w+/g) ?? []
    // The regional hosts are named by their prefixes.
    const hosts = Object.values(clouds).flatMap(({ apiBase, authority, blobSuffix }) => [
      ...(/^(\w+\.)?(api\.security\..*)$/.exec(new URL(apiBase).host)?.slice(1) ?? [
        new URL(apiBase).host,
      ]),
      new URL(authority).host,
      blobSuffix,
    ])

    expect(tables.length).toBeGreaterThan(6)
    expect([...tables, ...hosts].filter((one) => one && !page.includes(`\`${one}`))).toEqual([])
  })
})

describe('what is installed', () => {
  const { packages } = JSON.parse(read('package-lock.json'))
  const all: [string, Record<string, unknown>][] = Object.entries(packages)
  const modules = all.filter(([path]) => path !== '')

  test('is pinned by its hash, each package', () => {
    expect(modules.length).toBeGreaterThan(300)
    expect(modules.filter(([, { integrity }]) => !String(integrity).startsWith('sha512-'))).toEqual(
      [],
    )
  })

  test('includes the Node binary of each system, without a script that would fetch it', () => {
    const { optionalDependencies } = JSON.parse(read('package.json'))
    const nodes = modules.filter(([path]) =>
      /^node_modules\/node(?:-bin)?-(?:linux|darwin|win)-/.test(path),
    )

    expect(Object.keys(packages)).not.toContain('node_modules/node')
    expect(nodes.map(([path, { version }]) => [path.slice(13), version])).toEqual(
      Object.entries(optionalDependencies),
    )
    for (const [, { optional, hasInstallScript, os, cpu, version }] of nodes) {
      expect({ optional, hasInstallScript }).toEqual({
        optional: true,
        hasInstallScript: undefined,
      })
      expect(os && cpu).toBeTruthy()
      expect(Number.parseInt(String(version), 10)).toBeGreaterThanOrEqual(24)
    }
  })

  test('puts the command `node` of this system where npm scripts find it', () => {
    const own = modules
      .map(([path]) => path)
      .find(
        (path) =>
          /\/node-(?:bin-)?(?:linux|darwin|win)-/.test(path) && existsSync(join(root, path)),
      )

    expect(JSON.parse(read('package.json')).scripts.postinstall).toBe('node local/link-node.cjs')
    if (own) expect(existsSync(join(root, 'node_modules/.bin/node'))).toBe(true)
  })

  test('has no package with a script at its installation', () => {
    const scripted = modules.filter(([, { hasInstallScript }]) => hasInstallScript)

    expect(scripted).toEqual([])
  })
})

describe('the public workflows', () => {
  const workflows = globSync('.github/workflows/*.yml', { cwd: root }).map(read).join('\n')

  test('pin each action by its commit, with its version beside it', () => {
    const uses = [...workflows.matchAll(/uses: (.*)/g)].map(([, action = '']) => action)

    expect(uses.length).toBeGreaterThan(3)
    expect(
      uses.filter((action) => !/^[\w./-]+@[\da-f]{40} # v\d+\.\d+\.\d+$/.test(action)),
    ).toEqual([])
  })

  test('audit what is deployed and write the list of it', () => {
    expect(workflows).toMatch(/npm audit --omit=dev --audit-level=/)
    expect(workflows).toMatch(/npm sbom --sbom-format cyclonedx --omit dev/)
  })
})
