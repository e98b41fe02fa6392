import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { collectPackage } from '../../../local/tools/collect-package.ts'
import { buildPortal } from '../../../local/tools/portal.ts'
import { zip } from '../../../local/tools/zip.ts'
import { compileApp } from '../../functions/compile-app.ts'
import {
  loadApp,
  loadRegistrations,
  placedDescriptions,
  root,
} from '../../functions/load-registrations.ts'
import { unzip } from './unzip.ts'

async function emptyFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'package-test-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  return folder
}

/** What stands for the compiled files in tests of the rest. */
async function writeStubs(dist: string): Promise<void> {
  for (const path of ['functions/index.js', 'portal/index.html']) {
    await mkdir(dirname(join(dist, path)), { recursive: true })
    await writeFile(join(dist, path), '')
  }
}

test('the package, unpacked in an empty folder, loads with plain node, registers every function and answers its descriptions', async () => {
  const dist = await emptyFolder()
  await compileApp(dist)
  await buildPortal(join(dist, 'portal'))
  const files = unzip(zip(collectPackage(root, dist)))
  const folder = await emptyFolder()
  for (const [path, content] of files) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), content)
  }

  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  const unpacked = await loadApp(join(folder, manifest.main))

  expect(unpacked.functions).toEqual(await loadRegistrations(join(root, 'functions/index.ts')))
  expect(unpacked.functions.length).toBeGreaterThan(30)
  expect(unpacked.descriptions).toEqual(placedDescriptions())
  const page = [...files.keys()].filter((path) => path.startsWith('dist/portal/'))
  for (const name of ['index.html', 'main-', 'style-', 'icon-', 'licences-'])
    expect(page.filter((path) => path.startsWith(`dist/portal/${name}`))).toHaveLength(3)
})

test('the package has only production modules, no Node and nothing of this machine', async () => {
  const dist = await emptyFolder()
  await writeStubs(dist)

  const entries = collectPackage(root, dist)

  const paths = entries.map(({ path }) => path)
  const tops = new Set(paths.map((path) => path.split('/')[0]))
  const modules = new Set(
    paths.flatMap((path) => /^node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? []),
  )
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  expect([...tops]).toEqual(['dist', 'docs', 'host.json', 'node_modules', 'package.json'])
  expect(paths.filter((path) => path.startsWith('docs/'))).toEqual([
    'docs/event-types.json',
    'docs/openapi.json',
    'docs/swagger.json',
  ])
  expect(Object.keys(manifest.dependencies).filter((name) => !modules.has(name))).toEqual([])
  expect(
    [...Object.keys(manifest.devDependencies), 'node'].filter((name) => modules.has(name)),
  ).toEqual([])
  expect(
    paths.filter((path) =>
      /(?:^|\/)(?:\.env|local\.settings\.json|node_modules\/node-(?:bin-)?(?:linux|darwin|win))|\.node$/.test(
        path,
      ),
    ),
  ).toEqual([])
  expect(entries.filter(({ content }) => content.includes(root)).map(({ path }) => path)).toEqual(
    [],
  )
})

test('the package has the licence of every module that it has', async () => {
  const dist = await emptyFolder()
  await writeStubs(dist)

  const paths = collectPackage(root, dist).map(({ path }) => path)

  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'))
  const modules = Object.keys(packages).filter(
    (path) => path !== '' && paths.includes(`${path}/package.json`),
  )
  const licences = modules.map((path) => {
    const names = readdirSync(join(root, path))
    const texts = names.filter((name) => /^(?:licen[cs]e|copying|notice)/i.test(name))
    return (texts.length > 0 ? texts : names.filter((name) => /^readme/i.test(name))).map(
      (name) => `${path}/${name}`,
    )
  })
  expect(modules.length).toBeGreaterThan(100)
  expect(licences.flat().filter((path) => !paths.includes(path))).toEqual([])
  // Its author publishes no text; its package.json says MIT.
  expect(modules.filter((_, index) => licences[index]?.length === 0)).toEqual([
    'node_modules/proxy-agent-negotiate',
  ])
})

test('a package without compiled files is not made', async () => {
  const dist = await emptyFolder()

  expect(() => collectPackage(root, dist)).toThrow('npm run build')
})

test('an archive returns the files that were added, and is the same each time', () => {
  const entries = [
    { path: 'a/ä.txt', content: Buffer.from('something '.repeat(1000)) },
    { path: 'empty', content: Buffer.alloc(0) },
    { path: 'z/bytes', content: Buffer.from([0, 255, 1, 254, 80, 75, 5, 6]) },
  ]

  const archive = zip(entries)

  expect(unzip(archive)).toEqual(new Map(entries.map(({ path, content }) => [path, content])))
  expect(zip(entries)).toEqual(archive)
})

describe('what func azure functionapp publish uploads from a checkout', () => {
  const lines = readFileSync(join(root, '.funcignore'), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
  /**
   * Core Tools read a pattern as the beginning of a path from the root, with `*` for one or more characters of a name.
   * azd reads it as git does; for patterns that begin with a slash both mean the same.
   */
  const isUploaded = (path: string) => {
    const matches = (pattern: string) =>
      new RegExp(
        `^${pattern
          .replace(/^\//, '')
          .replace(/[.+?^${}()|[\]\\]/g, '\\$&')
          .replaceAll('*', '[^/]+')}`,
      ).test(path)
    const [no, yes] = [false, true].map((isNegated) =>
      lines.filter((line) => line.startsWith('!') === isNegated),
    )
    return yes?.some((line) => matches(line.slice(1))) || !no?.some(matches)
  }

  test('is what the app needs to run', () => {
    const needed = [
      'host.json',
      'package.json',
      'docs/openapi.json',
      'dist/functions/index.js',
      'node_modules/zod/package.json',
      'node_modules/@azure/functions/dist/test/local/out.js',
    ]

    expect(needed.filter((path) => !isUploaded(path))).toEqual([])
    // Git's rules, as azd has them: the first rule leaves nothing but names at the root, which come back one by one.
    expect(lines[0]).toBe('/*')
    expect(lines.slice(1).filter((line) => !/^!\/[\w.]+$/.test(line))).toEqual([])
  })

  test('is nothing else: no data folder, no output, no settings, no tests, no sources', () => {
    const own = execFileSync('git', ['ls-files'], { cwd: root, encoding: 'utf8' }).split('\n')
    const made = [
      '.local/state.json',
      '.local/azurite/__azurite_db_table__.json',
      'my-data/state.json',
      'out/package.zip',
      'out/package/host.json',
      'coverage/index.html',
      '.env',
      'local.settings.json',
      'export-part-1.json.gz',
    ]

    const uploaded = [...own.filter(Boolean), ...made].filter(isUploaded)

    expect(uploaded.filter((path) => !path.startsWith('docs/'))).toEqual([
      'host.json',
      'package.json',
    ])
  })
})
