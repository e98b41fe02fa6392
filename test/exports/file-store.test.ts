import { beforeEach, describe, expect, test } from 'vitest'
import { createFileLedger, type FileLedger } from '../../shared/exports/file-store.ts'
import type { FileRef } from '../../shared/exports/names.ts'
import { Fenced, type FileRecord } from '../../shared/exports/run-record.ts'
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
let ledger: FileLedger

beforeEach(async () => {
  table = createTables({ connectionString: await freshStorage() })('Exports')
  await table.create()
  ledger = createFileLedger(table, 'av-health')
})

const links = async () => (await ledger.all(RUN)).map(({ link }) => link)

describe('the rows of a listing', () => {
  test('are numbered from 1 in the order of the list, for any number of files', async () => {
    await ledger.write(ref(), listing(230))

    const files = await ledger.all(RUN)

    expect(files.map(({ number, path, link }) => ({ number, path, link }))).toEqual(
      listing(230).map((file, index) => ({ number: index + 1, ...file })),
    )
    expect(files[0]).toEqual({
      number: 1,
      path: 'part-1',
      link: 'https://x/part-1?sig=S1',
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

    expect(await links()).toEqual(['https://x/part-1?sig=S1', 'https://x/part-2?sig=S2'])
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
    link: null,
    written: 5,
  })

  test('changes one file and no other', async () => {
    await ledger.write(ref(), listing(3))

    const answer = await ledger.update(fileRef(2), imported)

    expect(answer).toMatchObject({ number: 2, state: 'imported', link: null, written: 5 })
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
  test('are erased from every file, in every epoch, and nothing of them is left in the table', async () => {
    await ledger.write(ref(1), listing(3))
    await ledger.update(fileRef(2), (file) => ({ ...file, state: 'failed', reason: 'gone' }))

    await ledger.eraseLinks(ref(2))

    expect(await links()).toEqual([null, null, null])
    expect((await ledger.all(RUN)).map(({ state }) => state)).toEqual([
      'waiting',
      'failed',
      'waiting',
    ])
    expect(JSON.stringify(await Array.fromAsync(table.list({})))).not.toMatch(/sig=|https:/)
  })

  test('are not stored again once they are erased', async () => {
    await ledger.write(ref(1), listing(1))
    await ledger.eraseLinks(ref(1))

    await expect(ledger.write(ref(1), listing(2))).rejects.toBeInstanceOf(Fenced)

    expect(await links()).toEqual([null])
  })

  test('are not erased by an executor of an older epoch', async () => {
    await ledger.write(ref(2), listing(1))

    await expect(ledger.eraseLinks(ref(1))).rejects.toBeInstanceOf(Fenced)

    expect(await links()).toEqual(['https://x/part-1?sig=S1'])
  })
})
