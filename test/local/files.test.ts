import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, expect, test } from 'vitest'
import { startAzurite } from '../../local/azurite.ts'
import { compareSnapshot } from '../../local/compare-snapshot.ts'
import { createFleet, type Fleet } from '../../local/simulator/fleet.ts'
import { AV_HEALTH } from '../../shared/av-health/export.ts'
import { createRunLedger } from '../../shared/exports/run-store.ts'
import { createTables } from '../../shared/platform/azure-table.ts'
import { endAll, freshFolder, onceLine, runToEnd } from './launch.ts'

const disk = freshFolder()
const folder = freshFolder()
const once = ['--once', '--data', folder]

/** Paths of a fleet's files, in the order of the fleet: unusual names, spaces, the same base names, gzip and plain. */
const paths = [
  'a file (1).json.gz',
  'x/part-00000.json.gz',
  'y/part-00000.json.gz',
  "é'$HOME;.json",
  'empty.JSON.GZ',
].map((name) => join(disk, name))

function writeFleet(fleet: Fleet): void {
  for (const [index, path] of paths.entries()) {
    const text = [...(fleet.files[index]?.lines() ?? [])].map((line) => `${line}\n`).join('')
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, /\.gz$/i.test(path) ? gzipSync(text) : text)
  }
}

async function differencesFrom(fleet: Fleet): Promise<string[]> {
  const azurite = await startAzurite({ dataDir: join(folder, 'azurite') })
  const tables = createTables({ connectionString: azurite.connectionString() })
  const current = await createRunLedger(tables('Exports'), AV_HEALTH).current()
  const differences = current
    ? await compareSnapshot(tables(current.table), current.buckets, fleet.truth())
    : ['none']
  await azurite.stop()
  return differences.slice(0, 5)
}

afterAll(endAll)

test('files from disk with any names are imported', async () => {
  writeFleet(createFleet({ size: 300, files: 5, badLines: 2 }))

  const line = onceLine(await runToEnd([...once, '--files', ...paths]))

  expect(line).toMatchObject({
    ok: true,
    state: 'published',
    devices: 300,
    counts: { listed: 5, rejected: 2 },
  })
})

test('a user’s own files meet no fault and no simulated action, and what they hold is shown', async () => {
  const path = join(disk, 'page.json')
  const value = [
    { machineId: 'a1', avMode: '0', avIsSignatureUpToDate: 'True' },
    { machineId: 'b2', avMode: '1', avIsSignatureUpToDate: 'False' },
    { machineId: 'c3', avMode: '0', avIsSignatureUpToDate: 'Unknown' },
  ]
  writeFileSync(path, JSON.stringify({ value }))
  const own = freshFolder()

  const ended = await runToEnd(['--once', '--data', own, '--files', path])

  const line = onceLine(ended)
  expect(line).toMatchObject({ ok: true, devices: 3, notReadyAtFirst: 0, linksRenewed: 0 })
  expect(ended.stderr).toContain(
    'Your 1 file holds 3 devices. Antivirus mode: active 2, passive 1.',
  )
  expect(ended.stderr).toContain(
    'Signatures: stale 1 (older than 7 days, or reported so), not known 1.',
  )
  expect(ended.stderr).not.toContain('simulated')
})

test('rejected lines are shown with their reasons', async () => {
  const path = join(disk, 'bad.json')
  writeFileSync(path, '{"machineId":"a1"}\nnot JSON\n{"machineId":""}\n')
  const own = freshFolder()

  const ended = await runToEnd(['--once', '--data', own, '--files', path])

  expect(onceLine(ended)).toMatchObject({ ok: false, state: 'failed' })
  expect(ended.stderr).toMatch(/rejected line 2 of .*: the line is not JSON/)
  expect(ended.stderr).toMatch(/rejected line 3 of .*: the device id is missing/)
})

test('the same files are unchanged, also when they are not given again', async () => {
  const ended = await runToEnd(once)

  expect(onceLine(ended)).toMatchObject({
    ok: true,
    state: 'unchanged',
    devices: 300,
    snapshot: null,
    rowsPerSecond: 0,
  })
  expect(ended.stderr).toContain('300 in the current snapshot')
})

test('files that have changed are a new export of exactly their devices', async () => {
  const fleet = createFleet({ size: 310, files: 5, badLines: 1 })
  writeFleet(fleet)

  const line = onceLine(await runToEnd([...once, '--files', ...paths]))

  expect(line).toMatchObject({
    ok: true,
    state: 'published',
    devices: 310,
    counts: { rejected: 1 },
  })
  expect(await differencesFrom(fleet)).toEqual([])
})

test('a missing file is named in one sentence before anything starts, also when it comes from the last start', async () => {
  rmSync(paths[1] ?? '')

  const named = await runToEnd([...once, '--files', ...paths])
  const remembered = await runToEnd(once)

  const refused = { code: 1, stdout: '', stderr: `There is no file ${paths[1]}.\n` }
  expect([named, remembered]).toMatchObject([refused, refused])
})
