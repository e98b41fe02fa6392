import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createAdjustableClock } from '../../local/clock.ts'
import { beginRun, SUPERSEDED } from '../../shared/exports/begin.ts'
import { importFile } from '../../shared/exports/import.ts'
import type { RunRef } from '../../shared/exports/names.ts'
import { resumeExports, resumeRun, startRun } from '../../shared/exports/start.ts'
import { viewRun } from '../../shared/exports/view.ts'
import { Crashed, crashAt, type Interceptor, interceptTables } from '../intercepted-storage.ts'
import { runs } from '../runs.ts'
import { brokenPromises, ledgerRows, unlinkedFiles } from './run-promises.ts'
import {
  createListeningExecutor,
  createMemoryTables,
  createSmallEngine,
  createSmallUpstream,
  createStoredTables,
  drive,
  finish,
  importAll,
  laterExport,
  type SmallExport,
  type Storage,
  smallExport,
} from './small-run.ts'

const MINUTE_MS = 60_000

type Method = 'files' | 'json'

/** An account and an upstream; processes work on them one after the other. */
async function prepare(method: Method, memory: Storage = createMemoryTables()) {
  await memory.tables('Exports').create()
  const upstream = createSmallUpstream()
  const clock = createAdjustableClock()
  const listening = createListeningExecutor()
  const lines: string[] = []
  const process = (hooks: Interceptor = {}) =>
    createSmallEngine(interceptTables(memory.tables, hooks), upstream, { method, clock, lines })
  const engine = process()

  /** A whole run in one process, which continues existing work; false when the process died. */
  async function work(hooks?: Interceptor): Promise<boolean> {
    const mine = process(hooks)
    clock.advance(2 * MINUTE_MS)
    try {
      await startRun(mine, listening.executor)
      await drive(mine, listening.started.at(-1) as RunRef)
      return true
    } catch (error) {
      if (!(error instanceof Crashed)) throw error
      return false
    }
  }
  return { memory, upstream, clock, listening, lines, engine, process, work }
}

const ended = async ({ engine }: Awaited<ReturnType<typeof prepare>>) =>
  (await engine.runs.runs(10)).map((run) => run.state)

describe.each<Method>(['files', 'json'])('by %s', (method) => {
  test.each(['before', 'after'] as const)(
    'a process that dies at any request, %s it is done, leaves a run that the next process publishes completely',
    async (when) => {
      let died = 0
      for (let crash = crashAt(0, when), n = 0; n === 0 || crash.hasCrashed(); n++) {
        const deps = await prepare(method)
        crash = crashAt(n, when)
        if (!(await deps.work(crash))) died += 1
        if (method === 'files') expect(await unlinkedFiles(deps.engine), `request ${n}`).toEqual([])

        await deps.work()

        // After a run that only had to be tidied up, the next run finds nothing new.
        expect(await ended(deps), `request ${n}`).toContain('published')
        expect(await ended(deps), `request ${n}`).not.toContain('failed')
        expect(
          await brokenPromises(deps.memory, deps.engine, [smallExport]),
          `request ${n}`,
        ).toEqual([])
        const { runId = '' } = (await deps.engine.runs.current()) ?? {}
        expect(deps.upstream.upstream.announced, `request ${n}`).toContain(runId)
      }
      expect(died).toBeGreaterThan(30)
    },
  )

  test('a process that dies at any request leaves nothing behind when the run is given up', async () => {
    for (let crash = crashAt(0, 'after'), n = 0; n === 0 || crash.hasCrashed(); n++) {
      const deps = await prepare(method)
      crash = crashAt(n, 'after')
      await deps.work(crash)

      for (let tries = 0; tries < 11; tries++) {
        deps.clock.advance(2 * MINUTE_MS)
        await resumeRun(deps.engine, deps.listening.executor)
      }

      // An ended run is only tidied up, never given up.
      if (await deps.engine.runs.active()) await deps.work()
      expect(await brokenPromises(deps.memory, deps.engine, [smallExport]), `request ${n}`).toEqual(
        [],
      )
    }
  })

  test('processes that die again and again, while the upstream changes, never leave a wrong snapshot', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            n: fc.nat(60),
            when: fc.constantFrom('before', 'after'),
            change: fc.boolean(),
          }),
          {
            minLength: 2,
            maxLength: 8,
          },
        ),
        async (deaths) => {
          const deps = await prepare(method)
          for (const { n, when, change } of deaths) {
            if (change)
              deps.upstream.upstream.now =
                deps.upstream.upstream.now === smallExport ? laterExport : again
            await deps.work(crashAt(n, when))
          }

          for (let tries = 0; tries < 3; tries++) await deps.work()

          expect(
            await brokenPromises(deps.memory, deps.engine, [smallExport, laterExport, again]),
          ).toEqual([])
          expect(await ended(deps)).toContain('published')
        },
      ),
      { numRuns: runs(25, 1500) },
    )
  })
})

describe.each<Method>(['files', 'json'])('on a storage account, by %s', (method) => {
  test.each([4, 18, 45, 1, 10, 14, 30, 60].slice(0, runs(3, 8)))(
    'a process that dies at its request %i leaves a run that the next process publishes completely',
    async (n) => {
      const deps = await prepare(method, await createStoredTables())
      await deps.work(crashAt(n, 'after'))

      await deps.work()

      expect(await ended(deps)).toContain('published')
      expect(await brokenPromises(deps.memory, deps.engine, [smallExport])).toEqual([])
    },
  )
})

describe('a run in progress', () => {
  test('that was taken over more than ten times fails with that reason', async () => {
    const { memory, clock, listening, engine } = await begun()

    for (let tries = 1; tries <= 12; tries++) {
      clock.advance(2 * MINUTE_MS)
      await resumeRun(engine, listening.executor)
    }

    const [run] = await engine.runs.runs(1)
    expect(run).toMatchObject({
      state: 'failed',
      reason: 'given up after 10 executions',
      epoch: 11,
    })
    expect(listening.started.map(({ epoch }) => epoch)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    expect(await brokenPromises(memory, engine, [])).toEqual([])
  })

  test('is left alone while its instance is alive and makes progress, and is taken over after two hours without progress', async () => {
    const { clock, listening, engine, first } = await begun(async () => 'live')
    clock.advance(119 * MINUTE_MS)
    await importFile(engine, { ...first, file: 1 })
    clock.advance(119 * MINUTE_MS)
    await resumeRun(engine, listening.executor)
    const untilThen = [...listening.started]

    clock.advance(2 * MINUTE_MS)
    await resumeRun(engine, listening.executor)
    await resumeRun(engine, listening.executor)

    expect(untilThen).toHaveLength(1)
    expect(listening.started.map(({ epoch }) => epoch)).toEqual([1, 2])
    expect(listening.terminated).toEqual([`${first.runId}-1`])
  })

  test.each(['ended', 'absent'] as const)(
    'whose instance is %s is taken over after its first minute',
    async (state) => {
      const { clock, listening, engine } = await begun(async () => state)

      clock.advance(MINUTE_MS + 1)
      await resumeRun(engine, listening.executor)

      expect(listening.started.map(({ epoch }) => epoch)).toEqual([1, 2])
      expect(listening.terminated).toEqual([])
    },
  )

  test('is left alone, and joined, when the status of its instance is unknown', async () => {
    const { memory, clock, listening, engine, first, lines } = await begun(() =>
      Promise.reject(
        new Error('HTTP 500, webhook https://host.example/?code=system-key-of-the-hub'),
      ),
    )
    clock.advance(300 * MINUTE_MS)
    const before = await ledgerRows(memory.tables)

    await resumeRun(engine, listening.executor)
    const joined = await startRun(engine, listening.executor)

    expect(joined).toMatchObject({ runId: first.runId, joined: true })
    expect(await ledgerRows(memory.tables)).toEqual(before)
    expect(listening.started).toHaveLength(1)
    expect(lines.join()).toContain('could not be read')
    expect(lines.join()).not.toContain('system-key')
  })

  test('that failed shows no table, even before the table is dropped', async () => {
    const { engine, process, first } = await begun()
    const cut: Interceptor = {
      before(request) {
        if (request.startsWith('drop')) throw new Crashed()
      },
    }
    await expect(finish(process(cut), first)).rejects.toThrow(Crashed)

    const run = await engine.runs.run(first.runId)

    expect(run?.snapshot).toContain(first.runId)
    expect(run && (await viewRun(engine, run))).toMatchObject({ state: 'failed', snapshot: null })
  })

  test('that was interrupted after its publication is tidied up, and published only once', async () => {
    const { memory, upstream, clock, listening, engine, process, first } = await begun()
    await importAll(engine, first, [1, 2, 3])
    const cut: Interceptor = {
      before(request) {
        if (request.includes('delete active')) throw new Crashed()
      },
    }
    await expect(finish(process(cut), first)).rejects.toThrow(Crashed)
    const published = await engine.runs.current()

    clock.advance(2 * MINUTE_MS)
    upstream.upstream.now = laterExport
    await resumeExports(engine, listening.executor)
    await drive(engine, listening.started.at(-1) as RunRef)

    expect(published?.runId).toBe(first.runId)
    expect(await engine.runs.current()).toEqual(published)
    expect(await engine.runs.active()).toBeUndefined()
    expect(await brokenPromises(memory, engine, [smallExport])).toEqual([])
  })
})

describe('the timer', () => {
  test('starts a run again, once, when it failed only because the upstream had a newer export', async () => {
    const { memory, upstream, listening, engine, first } = await begun()
    upstream.upstream.now = laterExport
    await importAll(engine, first, [1, 2, 3])
    await finish(engine, first)
    const failed = await engine.runs.run(first.runId)

    await resumeExports(engine, listening.executor)
    await resumeExports(engine, listening.executor)
    await drive(engine, listening.started.at(-1) as RunRef)
    await resumeExports(engine, listening.executor)

    const reason = expect.stringContaining(SUPERSEDED)
    expect(failed).toMatchObject({ state: 'failed', reason, snapshot: null })
    expect(await engine.runs.runs(10)).toMatchObject([{ state: 'published' }, { state: 'failed' }])
    expect(await brokenPromises(memory, engine, [laterExport])).toEqual([])
  })

  test('leaves a run alone that failed for any other reason', async () => {
    const { clock, listening, engine, first } = await begun()
    await finish(engine, first)

    clock.advance(10 * MINUTE_MS)
    await resumeExports(engine, listening.executor)

    expect(await engine.runs.runs(10)).toMatchObject([
      { state: 'failed', reason: expect.stringContaining('3 of 3') },
    ])
  })
})

/** A run whose files are listed; `status` is the status of its instance. */
async function begun(status?: Parameters<typeof createListeningExecutor>[0]) {
  const deps = { ...(await prepare('files')), listening: createListeningExecutor(status) }
  const { runId } = await startRun(deps.engine, deps.listening.executor)
  const first: RunRef = { kind: 'av-health', runId, epoch: 1 }
  await beginRun(deps.engine, first)
  return { ...deps, first }
}

/** The first fleet at a later time. */
const again: SmallExport = { ...smallExport, generatedTime: '2026-11-20T18:00:00Z' }
