import { Readable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { beginRun } from '../../shared/exports/begin.ts'
import type { ExportEngine } from '../../shared/exports/engine.ts'
import { importFile } from '../../shared/exports/import.ts'
import type { RunRef } from '../../shared/exports/names.ts'
import { startRun } from '../../shared/exports/start.ts'
import { UpstreamError } from '../../shared/platform/errors.ts'
import { interceptTables, pauseAt } from '../intercepted-storage.ts'
import {
  createListeningExecutor,
  createMemoryTables,
  createSmallEngine,
  createSmallUpstream,
  finish,
} from './small-run.ts'

const id = (letter: string) => letter.repeat(40)
const device = (letter: string, mode = 0) => ({ DeviceId: id(letter), AvMode: String(mode) })
const textOf = (row: object | string | null) =>
  typeof row === 'string' ? row : JSON.stringify(row)
const brokenOff = new UpstreamError({
  upstream: 'defender',
  call: 'GET',
  reason: 'truncated',
  retryable: true,
})

/** A run with one file or paged list before its first attempt. */
async function prepare(method: 'files' | 'json') {
  const memory = createMemoryTables()
  await memory.tables('Exports').create()
  const small = createSmallUpstream({
    generatedTime: '2026-11-20T06:00:00Z',
    files: { 'group=1/only.json': [] },
  })
  const { executor } = createListeningExecutor()
  const lines: string[] = []
  const engine = createSmallEngine(memory.tables, small, { method, lines })
  const { runId } = await startRun(engine, executor)
  const ref: RunRef = { kind: 'av-health', runId, epoch: 1 }
  await beginRun(engine, ref)

  /** The lines of the next attempt; it breaks off at `null`. */
  const offer = (engineOf: ExportEngine, pages: (object | string | null)[][]): ExportEngine => {
    const kind = {
      ...engineOf.kind,
      async *pages() {
        for (const page of pages) {
          if (page.includes(null)) throw brokenOff
          yield { rows: page, date: new Date('2026-11-20T07:00:00Z') }
        }
      },
      async openFile() {
        const text = pages.map((page) => page.map(textOf))
        const bytes = { packed: 0 }
        const body = Readable.from(
          (async function* () {
            for (const page of text) {
              if (page.includes('null')) throw brokenOff
              const block = Buffer.from(`${page.join('\n')}\n`)
              bytes.packed += block.length
              yield block
            }
          })(),
        )
        return { kind: 'open', body, bytes } as const
      },
    }
    return { ...engineOf, kind }
  }
  const attempt = (pages: (object | string | null)[][], tables = memory.tables) =>
    importFile(offer(createSmallEngine(tables, small, { method, lines }), pages), {
      ...ref,
      file: 1,
    })
  const file = async () => (await engine.files.all(runId))[0]
  const snapshotRows = async () => {
    const current = await engine.runs.current()
    const rows = await Array.fromAsync(memory.tables(current?.table ?? '').list({}))
    return Object.fromEntries(rows.map(({ rowKey, columns }) => [rowKey[0], columns.avMode]))
  }
  const snapshots = async () => (await memory.names()).filter((name) => name.includes('Snapshot'))
  return { memory, engine, ref, attempt, file, lines, snapshotRows, snapshots }
}

describe('a file', () => {
  test('that broke off has the same counts as a file without a failure', async () => {
    const { engine, ref, attempt, file, snapshotRows, snapshots } = await prepare('files')
    const whole = [
      [device('a'), device('b'), 'not JSON'],
      [device('a', 1), device('c')],
    ]

    const first = await attempt([...whole.slice(0, 1), [null]])
    const second = await attempt(whole)

    expect([first.state, second.state]).toEqual(['again', 'done'])
    expect(await file()).toMatchObject({
      attempts: 2,
      parsed: 5,
      written: 3,
      duplicates: 1,
      rejected: 1,
    })
    expect(await file()).toMatchObject({ bytes: whole.flat().map(textOf).join('\n').length + 1 })
    await finish(engine, ref)
    expect(await engine.runs.run(ref.runId)).toMatchObject({
      state: 'failed',
      reason: expect.stringContaining('1 of 5'),
    })
    // A guard stopped the run: its rows can be published on request.
    expect(await snapshotRows().catch(() => 'none')).toBe('none')
    expect(await snapshots()).toHaveLength(1)
  })

  test('that was written but not recorded has the same counts again', async () => {
    const { memory, engine, ref, attempt, file } = await prepare('files')
    const rows = [
      [device('a'), device('b')],
      [device('b', 1), device('c')],
    ]
    const cut = {
      before: (request: string) =>
        request.includes('replace 000001') && ++notes > 1 ? died() : undefined,
    }
    let notes = 0
    const died = () => {
      throw new Error('the process died')
    }
    await expect(attempt(rows, interceptTables(memory.tables, cut))).rejects.toThrow('died')

    await attempt(rows)

    expect(await file()).toMatchObject({
      state: 'imported',
      attempts: 2,
      parsed: 4,
      written: 3,
      duplicates: 1,
    })
    await finish(engine, ref)
    expect(await engine.runs.current()).toMatchObject({ devices: 3 })
  })

  test('stores its first hundred rejected lines, each with number, reason and beginning, without secrets', async () => {
    const { attempt, file } = await prepare('files')
    const secret = 'https://store.example/x?sv=1&sig=abcdefghijklmnopqrstuvwxyz0123456789'
    const bad = Array.from(
      { length: 120 },
      (_, n) => `bad ${n} ${n === 1 ? secret : ''} ${'x'.repeat(300)}`,
    )

    await attempt([[device('a'), ...bad]])

    const { rejects = [], ...counts } = (await file()) ?? {}
    expect(counts).toMatchObject({ state: 'imported', parsed: 121, written: 1, rejected: 120 })
    expect(rejects).toHaveLength(100)
    expect(rejects[0]).toEqual({
      line: 2,
      reason: 'the line is not JSON',
      text: expect.stringMatching(/^bad 0.{195}$/),
    })
    expect(JSON.stringify(rejects)).not.toContain('abcdefghij')
  })

  test('names at most two hundred unknown fields', async () => {
    const { attempt, file } = await prepare('files')
    const fields = Object.fromEntries(Array.from({ length: 300 }, (_, n) => [`Novel${n}`, 1]))

    await attempt([
      [
        { ...device('a'), ...fields },
        { ...device('b'), Novel1: 1 },
      ],
    ])

    const { unknownFields = {} } = (await file()) ?? {}
    expect(Object.keys(unknownFields)).toHaveLength(200)
    expect(unknownFields.Novel1).toBe(2)
  })

  test('whose table is gone is neither imported nor recorded: the run has ended', async () => {
    const { memory, attempt, file, ref } = await prepare('files')
    await memory.tables(`AvHealthSnapshot${ref.runId}`).drop()

    const outcome = await attempt([[device('a')]])

    expect(outcome).toEqual({ file: 1, state: 'done' })
    expect(await file()).toMatchObject({ state: 'importing', written: 0 })
    expect(await memory.names()).toEqual(['Exports'])
  })

  test('that is done stays unchanged when the same activity runs once more, or ends late', async () => {
    const { memory, attempt, file } = await prepare('files')
    const held = pauseAt(3)
    const late = attempt([[null]], interceptTables(memory.tables, held))
    await held.arrived
    await attempt([[device('a')]])
    const done = await file()

    held.letGo()
    await late
    await attempt([[device('b')]])

    expect(done).toMatchObject({ state: 'imported', written: 1 })
    expect(await file()).toEqual(done)
  })
})

describe('a run is not published', () => {
  const conclude = async ({ engine, ref }: Awaited<ReturnType<typeof prepare>>) => {
    await finish(engine, ref)
    return engine.runs.run(ref.runId)
  }

  test('when a row of a file is not accounted for', async () => {
    const deps = await prepare('files')
    await deps.attempt([[device('a'), device('b')]])
    await deps.engine.files.update({ ...deps.ref, file: 1 }, (file) => ({ ...file, written: 1 }))

    expect(await conclude(deps)).toMatchObject({
      state: 'failed',
      reason: 'the counts do not agree',
    })
    expect(await deps.engine.runs.current()).toBeUndefined()
  })

  test('when the row of a listed file is missing', async () => {
    const deps = await prepare('files')
    await deps.attempt([[device('a')]])
    await deps.engine.runs.update(deps.ref, (run) => ({ ...run, listed: 2 }))

    expect(await conclude(deps)).toMatchObject({
      state: 'failed',
      reason: '1 of 2 listed files were imported',
    })
  })

  test('when no file held a device', async () => {
    const deps = await prepare('files')
    await deps.attempt([[]])

    expect(await conclude(deps)).toMatchObject({ state: 'empty', reason: 'no file held a device' })
  })

  test('when a newer export was published before it', async () => {
    const deps = await prepare('files')
    const { engine, ref, attempt, memory } = deps
    await attempt([[device('a')]])
    const newer = {
      runId: '20261121000000abcd',
      table: 'x',
      method: 'files',
      generatedTime: '2026-11-20T18:00:00Z',
    }
    const current = {
      ...newer,
      paths: '',
      devices: 1,
      buckets: 4,
      publishedAt: '2026-11-20T18:00:00Z',
    }
    await memory
      .tables('Exports')
      .transact([
        { kind: 'insert', partitionKey: 'av-health', rowKey: 'current', columns: current },
      ])

    expect(await conclude(deps)).toMatchObject({
      state: 'failed',
      reason: 'a newer snapshot was published meanwhile',
    })
    expect(await engine.runs.current()).toMatchObject({ runId: newer.runId })
    expect(await engine.runs.run(ref.runId)).toMatchObject({ snapshot: null })
  })
})

test('a download ends when its rows cannot be stored', async () => {
  const { memory, engine, ref } = await prepare('files')
  let made = 0
  const body = new Readable({
    read() {
      made += 1
      const line = JSON.stringify({ DeviceId: `a${String(made).padStart(39, '0')}` })
      // An endless upstream that pauses after each line.
      setImmediate(() => this.push(Buffer.from(`${line}\n`)))
    },
  })
  const closed = new Promise((resolve) => body.once('close', resolve))
  const openFile = async () => ({ kind: 'open', body, bytes: { packed: 0 } }) as const
  const endless = { ...engine, kind: { ...engine.kind, openFile } }
  const failing = interceptTables(memory.tables, {
    before(request) {
      if (request.startsWith('transact insert a0')) throw new Error('the account is gone')
    },
  })

  const attempt = importFile({ ...endless, table: failing }, { ...ref, file: 1 })

  await expect(attempt).rejects.toThrow('the account is gone')
  await closed
  expect(body.destroyed).toBe(true)
})

describe('the paged list', () => {
  test('that broke off is read again: the snapshot holds only the last attempt', async () => {
    const { engine, ref, attempt, snapshotRows, snapshots } = await prepare('json')
    await attempt([[device('a'), device('b'), device('c')], [null]])

    await attempt([[device('c', 1), device('d', 1)], [device('a', 1)]])
    await finish(engine, ref)

    expect(await snapshotRows()).toEqual({ a: '1', c: '1', d: '1' })
    expect(await engine.runs.run(ref.runId)).toMatchObject({
      parsed: 3,
      written: 3,
      duplicates: 0,
      imported: 1,
    })
    expect(await snapshots()).toHaveLength(1)
  })

  const requests = Array.from({ length: 16 }, (_, n) => n)

  test.each(requests)(
    'of an attempt that is paused at its request %i adds nothing to the next attempt',
    async (n) => {
      const { memory, engine, ref, attempt, snapshotRows, snapshots } = await prepare('json')
      await attempt([[device('e')], [null]])
      const held = pauseAt(n)
      const late = attempt(
        [[device('a'), device('b')], [device('7')]],
        interceptTables(memory.tables, held),
      )
      await Promise.race([held.arrived, late])
      await attempt([[device('b', 1), device('d', 1)]])
      await finish(engine, ref)
      const before = await snapshotRows()

      held.letGo()
      await late

      expect(await snapshotRows()).toEqual(before)
      expect([
        { b: '1', d: '1' },
        { a: '0', b: '0', 7: '0' },
      ]).toContainEqual(before)
      expect(await engine.runs.current()).toMatchObject({ devices: Object.keys(before).length })
      expect(await snapshots()).toHaveLength(1)
    },
  )

  test('is never a mixture of two attempts that run at once, in any order of their requests', async () => {
    for (const [n, m] of requests.flatMap((first) =>
      requests.map((second) => [first, second] as const),
    )) {
      const { memory, engine, ref, attempt, snapshotRows, snapshots } = await prepare('json')
      const [one, two] = [pauseAt(n), pauseAt(m)]
      const first = attempt(
        [[device('a'), device('b')], [device('7')]],
        interceptTables(memory.tables, one),
      )
      await Promise.race([one.arrived, first])
      const second = attempt(
        [[device('b', 1), device('d', 1)]],
        interceptTables(memory.tables, two),
      )
      await Promise.race([two.arrived, second])

      one.letGo()
      await first
      two.letGo()
      await second
      await finish(engine, ref)

      const current = await engine.runs.current()
      const rows = current ? await snapshotRows() : {}
      const where = `${n}: ${one.requests[n]}, ${m}: ${two.requests[m]}`
      expect([{ b: '1', d: '1' }, { a: '0', b: '0', 7: '0' }, {}], where).toContainEqual(rows)
      expect(current?.devices ?? 0, where).toBe(Object.keys(rows).length)
      expect(await snapshots(), where).toHaveLength(current ? 1 : 0)
    }
  })
})
