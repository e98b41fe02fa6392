import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, expect, test } from 'vitest'
import { endAll, freshFolder, hurry, keysOf, launch, onceLine, runToEnd } from './launch.ts'

const folder = freshFolder()
const once = ['--once', '--data', folder]

afterAll(endAll)

/** Compares the folder's table with its fleet, by `npm run verify`. */
const verify = () => runToEnd(['--data', folder], 'verify.ts')

test('one command imports the whole fleet and prints one line with the result', async () => {
  const started = launch([...once, '--fleet', '200'])

  const ended = await hurry(started, folder)

  expect(ended).toMatchObject({ code: 0 })
  expect(ended.stdout.trimEnd().split('\n')).toHaveLength(1)
  const line = onceLine(ended)
  expect(line).toMatchObject({
    ok: true,
    state: 'published',
    method: 'files',
    devices: 200,
    epoch: 1,
    reason: null,
  })
  const { listed, imported, failed, parsed, written, duplicates, rejected } = line.counts
  expect({ failed, imported, written }).toEqual({ failed: 0, imported: listed, written: 200 })
  expect(parsed).toBe(written + duplicates + rejected)
  expect(rejected).toBeGreaterThan(0)
  expect(line.notReadyAtFirst).toBeGreaterThan(0)
  expect(line.linksRenewed).toBeGreaterThan(0)
  expect(line.rowsPerSecond).toBeGreaterThan(0)
  expect(ended.stderr).toMatch(
    /^storage emulator on 127\.0\.0\.1: blob \d+, queue \d+, table \d+\n {2}connection string for Storage Explorer:\s[\s\S]*?storage-connection\.txt$/m,
  )
  expect(ended.stderr).not.toContain('AccountKey')
  expect(await verify()).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('exactly the fleet'),
  })
})

test('another fleet is another export, even within the same minute; the keys stay, and it ages for days', async () => {
  const keys = keysOf(folder)

  const ended = await hurry(launch([...once, '--fleet', '120', '--days', '3']), folder)

  const line = onceLine(ended)
  expect(line).toMatchObject({ ok: true, state: 'published', devices: 120 })
  expect(line.changes).toMatchObject({ state: 'known', countedOnly: [] })
  // Of the 4 that went on the first day, 2 are back.
  const { appeared, ...counts } = line.changes?.counts ?? {}
  expect([appeared, counts.disappeared, counts.returned]).toEqual([undefined, 2, 2])
  expect(ended.stderr).toMatch(/day 2 of 3[\s\S]+day 3 of 3/)
  expect(await verify()).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('120 devices, exactly the fleet'),
  })
  expect(keysOf(folder)).toEqual(keys)
})

test('a requested port that is in use is named in one sentence', async () => {
  const taken = createServer()
  const other = freshFolder()
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
  const { port } = taken.address() as AddressInfo

  const ended = await runToEnd(['--once', '--fleet', '50', '--data', other, '--port', String(port)])

  expect(ended).toMatchObject({
    code: 1,
    stdout: '',
    stderr: expect.stringContaining(`Port ${port} is in use:`),
  })
  expect(ended.stderr).not.toMatch(/^ {4}at /m)
  await new Promise((resolve) => taken.close(resolve))
})
