import { beforeEach, describe, expect, test } from 'vitest'
import { openSecrets } from '../../shared/app/sections/base.ts'
import {
  createFileLedger,
  createLinks,
  type FileLedger,
  type Links,
} from '../../shared/exports/file-store.ts'
import type { FileRef } from '../../shared/exports/names.ts'
import { Fenced, type FileRecord, type Run } from '../../shared/exports/run-record.ts'
import { createTables } from '../../shared/platform/azure-table.ts'
import type { Table } from '../../shared/platform/table.ts'
import { freshStorage } from '../storage.ts'

const RUN = '20260302100000aaaa'
const ref = (epoch = 1) => ({ kind: 'av-health', runId: RUN, epoch })
const fileRef = (file: number, epoch = 1): FileRef => ({ ...ref(epoch), file })
const listing = (count: number) =>
  Array.from({ length: count }, (_, n) => ({
    path: `part-${n + 1}`,
    link: `https://x/part-${n + 1}?sig=S${n + 1}`,
  }))

let table: Table
let secrets: Table
let ledger: FileLedger
let links: Links

beforeEach(async () => {
  const tables = createTables({ connectionString: await freshStorage() })
  table = tables('Exports')
  secrets = tables('Secrets')
  await table.create()
  ledger = createFileLedger(table, 'av-health')
  links = createLinks(openSecrets(secrets), { now: () => new Date(), sleep: async () => {} })
})

describe('the rows of a listing', () => {
  test('are numbered from 1 in the order of the list, for any number of files', async () => {
    await ledger.write(ref(), listing(230))

    const files = await ledger.all(RUN)

    expect(files.map(({ number, path }) => ({ number, path }))).toEqual(
      listing(230).map(({ path }, index) => ({ number: index + 1, path })),
    )
    expect(files[0]).toEqual({
      number: 1,
      path: 'part-1',
      epoch: 1,
      state: 'waiting',
      attempts: 0,
      bytes: 0,
      parsed: 0,
      written: 0,
      duplicates: 0,
      rejected: 0,
      reason: null,
      notReadyAtFirst: false,
      updatedAt: null,
      unknownFields: {},
      unreadable: {},
      unreadableRows: 0,
      rejects: [],
    })
  })

  test('replace those of an earlier listing of the run, and of no other run', async () => {
    await ledger.write(ref(), listing(130))
    await ledger.write({ ...ref(), runId: '20260302110000aaaa' }, listing(1))

    await ledger.write(ref(2), listing(2))

    expect((await ledger.all(RUN)).map(({ path }) => path)).toEqual(['part-1', 'part-2'])
    expect(await ledger.all('20260302110000aaaa')).toHaveLength(1)
  })

  test('are final once they are complete: only a newer epoch lists again', async () => {
    await ledger.write(ref(2), listing(2))

    await expect(ledger.write(ref(2), listing(3))).rejects.toBeInstanceOf(Fenced)
    await expect(ledger.write(ref(1), listing(3))).rejects.toBeInstanceOf(Fenced)

    expect(await ledger.all(RUN)).toHaveLength(2)
  })

  test('that two executors write at once are those of one executor, never a mixture', async () => {
    const other = listing(205).map(({ path, link }) => ({ path: `other-${path}`, link }))

    const outcomes = await Promise.allSettled([
      ledger.write(ref(), listing(210)),
      ledger.write(ref(), other),
    ])

    const winners = [listing(210), other].filter(
      (_, index) => outcomes[index]?.status === 'fulfilled',
    )
    expect(outcomes.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []))).toEqual([
      expect.any(Fenced),
    ])
    expect((await ledger.all(RUN)).map(({ path }) => path)).toEqual(
      winners[0]?.map(({ path }) => path),
    )
  })

  test('are deleted with their run', async () => {
    await ledger.write(ref(), listing(120))

    await ledger.clear(RUN)

    expect(await Array.fromAsync(table.list({}))).toEqual([])
  })

  test('are listed from any number', async () => {
    await ledger.write(ref(), listing(12))

    const files = await Array.fromAsync(ledger.list(RUN, 9))

    expect(files.map(({ number }) => number)).toEqual([10, 11, 12])
  })
})

describe('an update', () => {
  const imported = (file: FileRecord): FileRecord => ({
    ...file,
    state: 'imported',
    written: 5,
  })

  test('changes one file and no other', async () => {
    await ledger.write(ref(), listing(3))

    const answer = await ledger.update(fileRef(2), imported)

    expect(answer).toMatchObject({ number: 2, state: 'imported', written: 5 })
    expect((await ledger.all(RUN)).map(({ state }) => state)).toEqual([
      'waiting',
      'imported',
      'waiting',
    ])
  })

  test('is fenced in an older epoch, in a newer epoch, and without a file', async () => {
    await ledger.write(ref(2), listing(1))

    await expect(ledger.update(fileRef(1, 1), imported)).rejects.toBeInstanceOf(Fenced)
    await expect(ledger.update(fileRef(1, 3), imported)).rejects.toBeInstanceOf(Fenced)
    await expect(ledger.update(fileRef(9, 2), imported)).rejects.toBeInstanceOf(Fenced)

    expect((await ledger.all(RUN)).map(({ state }) => state)).toEqual(['waiting'])
  })

  test('made at the same time as others is stored like them', async () => {
    await ledger.write(ref(), listing(1))

    await Promise.all(
      Array.from({ length: 6 }, () =>
        ledger.update(fileRef(1), (file) => ({ ...file, attempts: file.attempts + 1 })),
      ),
    )

    expect((await ledger.all(RUN))[0]?.attempts).toBe(6)
  })

  test('stores rejects of any length, until there are new ones', async () => {
    await ledger.write(ref(), listing(1))
    const rejects = Array.from({ length: 100 }, (_, n) => ({
      line: n + 1,
      reason: 'the line is not JSON',
      text: `😀"\u0001${'x"'.repeat(98)}`,
    }))

    await ledger.update(fileRef(1), (file) => ({ ...imported(file), rejects }))
    await ledger.update(fileRef(1), (file) => ({ ...file, reason: 'noted' }))
    const [kept] = await ledger.all(RUN)
    await ledger.update(fileRef(1), (file) => ({ ...file, rejects: rejects.slice(0, 1) }))
    const [fewer] = await ledger.all(RUN)

    expect(JSON.stringify(rejects).length).toBeGreaterThan(32_768)
    expect([kept?.rejects, kept?.reason]).toEqual([rejects, 'noted'])
    expect(fewer?.rejects).toEqual(rejects.slice(0, 1))
  })
})

describe('raising the epoch', () => {
  test('fences executors of the older epoch, and keeps the data of each file', async () => {
    await ledger.write(ref(1), listing(3))
    const rejects = [{ line: 3, reason: 'the device id is missing', text: '{}' }]
    await ledger.update(fileRef(2, 1), (file) => ({
      ...file,
      state: 'imported',
      written: 5,
      rejects,
    }))

    await ledger.raise(ref(2))

    await expect(ledger.update(fileRef(1, 1), (file) => file)).rejects.toBeInstanceOf(Fenced)
    const files = await ledger.all(RUN)
    expect(files.map(({ epoch }) => epoch)).toEqual([2, 2, 2])
    expect(files[1]).toMatchObject({ state: 'imported', written: 5, rejects })
  })

  test('closes the set: a listing in progress in the older epoch fails', async () => {
    await ledger.raise(ref(2))

    await expect(ledger.write(ref(1), listing(2))).rejects.toBeInstanceOf(Fenced)

    expect(await ledger.all(RUN)).toEqual([])
  })

  test('by an executor older than the files is fenced', async () => {
    await ledger.write(ref(3), listing(2))

    await expect(ledger.raise(ref(2))).rejects.toBeInstanceOf(Fenced)

    expect((await ledger.all(RUN)).map(({ epoch }) => epoch)).toEqual([3, 3])
  })
})

describe('links', () => {
  const time = '2026-03-02T09:00:00Z'
  const run = (generatedTime: string | null = time) => ({ runId: RUN, generatedTime }) as Run
  const numbered = (count: number) =>
    listing(count).map((file, index) => ({ ...file, number: index + 1 }))
  const read = (number: number, of = run()) =>
    links.read(of, { number, path: `part-${number}` } as FileRecord)

  test('are in table Secrets only, for any number of files', async () => {
    await links.write(run(), numbered(230))
    await ledger.write(ref(), listing(230))

    expect(await read(1)).toBe('https://x/part-1?sig=S1')
    expect(await read(230)).toBe('https://x/part-230?sig=S230')
    const rows = await Array.fromAsync(secrets.list({ partitionKey: `link|${RUN}` }))
    expect(rows.map(({ rowKey }) => rowKey).slice(0, 2)).toEqual(['000001', '000002'])
    expect(JSON.stringify(await Array.fromAsync(table.list({})))).not.toMatch(/sig=|https:/)
  })

  test('of another listing count as missing: an older executor may have written them late', async () => {
    await links.write(run(), numbered(2))
    await links.write(run('2026-03-02T08:00:00Z'), numbered(1))
    await links.write(run(), [{ number: 2, path: 'part-7', link: 'https://x/part-7?sig=S7' }])

    expect([await read(1), await read(2), await read(3)]).toEqual([undefined, undefined, undefined])
    expect(await read(1, run('2026-03-02T08:00:00.000Z'))).toBe('https://x/part-1?sig=S1')
  })

  test('are erased one by one, or all of a run and of no other', async () => {
    await links.write(run(), numbered(3))
    await links.write({ ...run(), runId: '20260302110000bbbb' }, numbered(1))

    await links.erase(RUN, 2)
    await links.erase(RUN, 2)
    const two = [await read(1), await read(2), await read(3)].map(Boolean)
    await links.eraseAll(RUN)

    expect(two).toEqual([true, false, true])
    const left = await Array.fromAsync(secrets.list({}))
    expect(left.map(({ partitionKey }) => partitionKey)).toEqual(['link|20260302110000bbbb'])
  })

  test('that can not be read count as missing, and are written over', async () => {
    const row = { partitionKey: `link|${RUN}`, rowKey: '000001', columns: { secret: 'not JSON' } }
    await links.erase(RUN, 1)
    await secrets.transact([{ kind: 'insert', ...row }])

    const before = await read(1)
    await links.write(run(), numbered(1))

    expect([before, await read(1)]).toEqual([undefined, 'https://x/part-1?sig=S1'])
  })
})
