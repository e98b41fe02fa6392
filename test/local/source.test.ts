import { chmodSync, existsSync, mkdirSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, describe, expect, test } from 'vitest'
import type { Source } from '../../local/data-folder.ts'
import { LARGEST_FLEET } from '../../local/options.ts'
import { openLines, readDiskFile } from '../../local/simulator/disk-file.ts'
import { chooseSource, type Known, refuseUnreadable } from '../../local/source.ts'
import { endAll, freshFolder } from './launch.ts'

const nothing = { fleet: undefined, files: [], upstream: undefined }
const known: Known = {
  before: undefined,
  present: new Date('2026-11-21T03:04:05Z'),
  published: null,
}
const fleetOf = (size: number, generatedTime = '2026-11-21T03:04:00Z'): Source => ({
  kind: 'fleet',
  size,
  generatedTime,
})

afterAll(endAll)

describe('a fleet', () => {
  test('is made once, at the whole minute, and stays until another size is requested', async () => {
    const first = await chooseSource({ ...nothing, fleet: 70 }, known)

    expect(first).toEqual(fleetOf(70))
    expect(await chooseSource(nothing, { ...known, before: first })).toBe(first)
    expect(await chooseSource({ ...nothing, fleet: 70 }, { ...known, before: first })).toBe(first)
    expect(await chooseSource(nothing, known)).toEqual(fleetOf(5000))
  })

  test.each([
    ['the fleet before', { before: fleetOf(70) }, '2026-11-21T03:05:00Z'],
    ['the published snapshot', { published: '2026-11-21T03:09:30Z' }, '2026-11-21T03:10:00Z'],
  ])(
    'is later than %s, for which it would be taken otherwise',
    async (_what, more, generatedTime) => {
      const next = await chooseSource({ ...nothing, fleet: 71 }, { ...known, ...more })

      expect(next).toEqual(fleetOf(71, generatedTime))
    },
  )
})

describe('files', () => {
  const folder = freshFolder()
  const write = (name: string, text: string) => {
    const path = join(folder, name)
    writeFileSync(path, name.endsWith('.gz') ? gzipSync(text) : text)
    utimesSync(path, 1_700_000_000, 1_700_000_000)
    return path
  }

  test('stay the same export while size and time do not change, and are stored', async () => {
    const files = [write('a.json.gz', '{}\n'), write('b.json', '{}\n')]
    const first = await chooseSource({ ...nothing, files }, known)
    const before = { ...known, before: first }

    expect(await chooseSource({ ...nothing, files }, before)).toBe(first)
    expect(await chooseSource(nothing, before)).toBe(first)
    utimesSync(files[0] ?? '', 1_700_000_001, 1_700_000_001)
    const touched = await chooseSource({ ...nothing, files }, before)
    expect(touched).toMatchObject({ kind: 'files', generatedTime: '2026-11-21T03:05:00Z' })
  })

  test('old ones are a new export too: their time is not the time of the export', async () => {
    const files = [write('old.json', '{}\n')]

    const source = await chooseSource(
      { ...nothing, files },
      { ...known, published: '2026-11-21T01:00:00Z' },
    )

    expect(source).toMatchObject({ generatedTime: '2026-11-21T03:04:00Z' })
  })

  test('with more rows than the emulator can hold are refused before anything is imported', async () => {
    const half = '\n'.repeat(LARGEST_FLEET / 2 + 1)
    const files = [write('half.json.gz', half), write('half.json', half)]

    const choice = chooseSource({ ...nothing, files }, known)

    await expect(choice).rejects.toThrow(
      `The storage emulator holds about ${LARGEST_FLEET} devices`,
    )
  })

  test('damaged ones are refused by the import, missing ones and folders immediately', async () => {
    writeFileSync(join(folder, 'damaged.json.gz'), 'not packed')
    mkdirSync(join(folder, 'sub'))
    const choose = (name: string) =>
      chooseSource({ ...nothing, files: [join(folder, name)] }, known)

    expect(await choose('damaged.json.gz')).toMatchObject({ kind: 'files' })
    await expect(choose('missing.json')).rejects.toThrow(
      `There is no file ${join(folder, 'missing.json')}.`,
    )
    await expect(choose('sub')).rejects.toThrow('is not a file.')
  })

  const devices = [{ machineId: 'a1' }, { machineId: 'b2' }, { machineId: 'c3' }]
  const lines = devices.map((one) => JSON.stringify(one)).join('\n')

  test.each([
    ['a page of the JSON method', 'page.json', JSON.stringify({ value: devices })],
    ['a page over several lines', 'wide.json.gz', JSON.stringify({ value: devices }, null, 2)],
    [
      'pages, one on each line',
      'pages.json',
      devices.map((one) => `{"value":[${JSON.stringify(one)}]}`).join('\n'),
    ],
    ['a list', 'list.json.gz', JSON.stringify(devices)],
    ['lines', 'lines.json', `\uFEFF${lines}\n`],
    ['lines of which the first is damaged', 'first.json', `{"machineId":"cut\n${lines}\n`],
  ])('%s is read as its devices', async (_, name, text) => {
    const path = write(name, text)

    const source = await chooseSource({ ...nothing, files: [path] }, known)
    const found = []
    for await (const piece of openLines(path, readDiskFile(path))) found.push(piece)

    expect(source).toMatchObject({ kind: 'files' })
    const all = Buffer.concat(found).toString()
    for (const { machineId } of devices)
      expect(all.split(`{"machineId":"${machineId}"}`)).toHaveLength(2)
    expect(all.trim().split('\n').length).toBeLessThanOrEqual(devices.length + 1)
  })

  test('a packed file is known by its content, also under another name', async () => {
    const path = write('packed.json', '')
    writeFileSync(path, gzipSync(lines))

    expect(readDiskFile(path)).toEqual({ isPacked: true, rows: undefined })
  })

  test.each([
    ['CSV', 'a.csv', 'DeviceId,AvMode\na1,0\n', 'looks like CSV'],
    ['CSV in gzip', 'a.csv.gz', 'DeviceId;AvMode\na1;0\n', 'looks like CSV'],
    ['a ZIP archive', 'a.zip', `PK\u0003\u0004devices.json${lines}`, 'is a ZIP archive'],
    ['other text', 'a.txt', 'hello\n', 'is not JSON'],
  ])('%s is refused by name before anything is imported', async (_, name, text, reason) => {
    const path = write(name, text)

    const choice = chooseSource({ ...nothing, files: [path] }, known)

    await expect(choice).rejects.toThrow(`${path} ${reason}`)
  })

  test('text of PowerShell in UTF-16 is refused by name', async () => {
    const path = write('utf16.json', '')
    writeFileSync(path, Buffer.from(`\uFEFF${lines}`, 'utf16le'))

    const choice = chooseSource({ ...nothing, files: [path] }, known)

    await expect(choice).rejects.toThrow('is UTF-16 text: save it as UTF-8.')
  })

  test('stored ones count only when no other source is requested', () => {
    const path = join(folder, 'gone.json')
    const before: Source = {
      kind: 'files',
      files: [{ path, bytes: 1, changedMs: 1 }],
      generatedTime: '2026-11-21T03:04:00Z',
    }

    expect(() => refuseUnreadable(nothing, before)).toThrow(`There is no file ${path}.`)
    expect(() => refuseUnreadable({ ...nothing, fleet: 5 }, before)).not.toThrow()
    expect(() =>
      refuseUnreadable({ ...nothing, upstream: 'http://127.0.0.1:9000' }, before),
    ).not.toThrow()
  })

  test('an existing one that can’t be read is refused', () => {
    // Nobody can read its first bytes, not even root.
    const path = existsSync('/proc/self/mem') ? '/proc/self/mem' : write('closed.json', '{}\n')
    if (path !== '/proc/self/mem') chmodSync(path, 0)

    expect(() => refuseUnreadable({ ...nothing, files: [path] }, undefined)).toThrow(
      /can't be read \(E\w+\)\.$/,
    )
  })
})
