import { describe, expect, test } from 'vitest'
import { createAdjustableClock } from '../../local/clock.ts'
import { beginRun } from '../../shared/exports/begin.ts'
import type { RunRef } from '../../shared/exports/names.ts'
import { resumeRun, startRun } from '../../shared/exports/start.ts'
import { type Interceptor, interceptTables, pauseAt } from '../intercepted-storage.ts'
import { runs } from '../runs.ts'
import { brokenPromises, ledgerRows } from './run-promises.ts'
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
  type Storage,
  smallExport,
} from './small-run.ts'

type Method = 'files' | 'json'

/** Plays at each request of an executor and once after its last; `play` answers how many it made. */
async function atEachRequest(play: (n: number) => Promise<number>): Promise<void> {
  let n = 0
  while (n < (await play(n))) n += 1
  expect(n).toBeGreaterThan(20)
}

/** A run in progress whose executor is paused at its n-th request, and a way to take it over. */
async function prepare(method: Method, n: number, storage: Storage) {
  const upstream = createSmallUpstream()
  await storage.tables('Exports').create()
  const { executor, started } = createListeningExecutor()
  const clock = createAdjustableClock()
  const engine = createSmallEngine(storage.tables, upstream, { method, clock })
  await startRun(engine, executor)
  const first = started[0] as RunRef
  const held = pauseAt(n)
  const older = drive(
    createSmallEngine(interceptTables(storage.tables, held), upstream, { method, clock }),
    first,
  )
  await Promise.race([held.arrived, older])

  /** Another process wrongly considers the first executor dead; undefined when its run had ended. */
  async function takeOver(): Promise<RunRef | undefined> {
    clock.advance(120_000)
    upstream.upstream.now = laterExport
    await resumeRun(engine, executor)
    const ref = started.at(-1) as RunRef
    return ref.epoch > first.epoch ? ref : undefined
  }
  /** Lets the first executor continue to its end; answers the ledger before and after. */
  async function letGo() {
    const before = await ledgerRows(storage.tables)
    held.letGo()
    await older
    return { before, after: await ledgerRows(storage.tables) }
  }
  return { engine, executor, started, clock, held, takeOver, letGo }
}

const exports = [smallExport, laterExport]

/** The older executor continues as soon as the newer one has begun. */
async function wakesEarly(method: Method, n: number, storage: Storage) {
  const { engine, held, takeOver, letGo } = await prepare(method, n, storage)
  const second = await takeOver()
  const begun = second && (await beginRun(engine, second))

  const { before, after } = await letGo()

  expect(after, `held at request ${n}: ${held.requests[n]}`).toEqual(before)
  if (second && begun?.state === 'importing') {
    await importAll(engine, second, begun.files)
    await finish(engine, second)
  }
  expect(
    await brokenPromises(storage, engine, exports),
    `held at request ${n}: ${held.requests[n]}`,
  ).toEqual([])
  return held.requests.length
}

/** The older executor continues when the newer one has ended the run. */
async function wakesLate(method: Method, n: number, storage: Storage) {
  const { engine, held, takeOver, letGo } = await prepare(method, n, storage)
  const second = await takeOver()
  if (second) await drive(engine, second)

  const { before, after } = await letGo()

  expect(after, `held at request ${n}: ${held.requests[n]}`).toEqual(before)
  expect(
    await brokenPromises(storage, engine, exports),
    `held at request ${n}: ${held.requests[n]}`,
  ).toEqual([])
  return held.requests.length
}

/** The run was given up in the meantime, and no executor continues it. */
async function wakesAfterItWasGivenUp(method: Method, n: number, storage: Storage) {
  const { engine, executor, clock, held, started, letGo } = await prepare(method, n, storage)
  for (let tries = 0; tries < 11; tries++) {
    clock.advance(120_000)
    await resumeRun(engine, executor)
  }
  // An ended run is only tidied up, never given up.
  if (await engine.runs.active()) await drive(engine, started.at(-1) as RunRef)

  const { before, after } = await letGo()

  expect(after, `held at request ${n}: ${held.requests[n]}`).toEqual(before)
  expect(
    await brokenPromises(storage, engine, exports),
    `held at request ${n}: ${held.requests[n]}`,
  ).toEqual([])
  return { made: held.requests.length, reason: (await engine.runs.runs(1))[0]?.reason }
}

describe.each<Method>(['files', 'json'])('by %s, an executor that was taken over', (method) => {
  test('changes nothing once the new one has begun, whatever its next request is', async () => {
    await atEachRequest((n) => wakesEarly(method, n, createMemoryTables()))
  })

  test('changes nothing when it continues after the end of the run', async () => {
    await atEachRequest((n) => wakesLate(method, n, createMemoryTables()))
  })

  test('changes nothing, and leaves no link and no table behind, when the run was given up in the meantime', async () => {
    const reasons = new Set<string | null | undefined>()
    await atEachRequest(async (n) => {
      const { made, reason } = await wakesAfterItWasGivenUp(method, n, createMemoryTables())
      reasons.add(reason)
      return made
    })

    expect([...reasons]).toEqual(['given up after 10 executions', null])
  })
})

describe.each<Method>(['files', 'json'])(
  'on a storage account, by %s, an executor that was taken over',
  (method) => {
    test.each([8, 40, 5, 11, 17].slice(0, runs(2, 5)))(
      'paused at its request %i changes nothing',
      async (n) => {
        await wakesEarly(method, n, await createStoredTables())
        await wakesLate(method, n, await createStoredTables())
      },
    )
  },
)

test('a second copy of publish-run that lags behind the first copy and the next run publishes nothing again', async () => {
  const storage = createMemoryTables()
  const { engine, upstream, executor, started, first, another, clock } =
    await prepareListed(storage)
  const held = pauseAt(0)
  const late = finish(another(held), first)
  while (!held.requests.at(-1)?.includes('insert current')) await held.step()
  await finish(engine, first)
  upstream.upstream.now = laterExport
  clock.advance(120_000)
  const next = await startRun(engine, executor)
  await drive(engine, started.at(-1) as RunRef)
  const before = await ledgerRows(storage.tables)

  held.letGo()
  await late

  expect(await ledgerRows(storage.tables)).toEqual(before)
  expect(await engine.runs.current()).toMatchObject({ runId: next.runId })
  expect(await brokenPromises(storage, engine, exports)).toEqual([])
})

/** A run whose files are all imported but which is not published yet. */
async function prepareListed(storage: Storage) {
  await storage.tables('Exports').create()
  const upstream = createSmallUpstream()
  const clock = createAdjustableClock()
  const another = (hooks: Interceptor = {}) =>
    createSmallEngine(interceptTables(storage.tables, hooks), upstream, { clock })
  const engine = another()
  const { executor, started } = createListeningExecutor()
  await startRun(engine, executor)
  const first = started[0] as RunRef
  const begun = await beginRun(engine, first)
  if (begun.state === 'importing') await importAll(engine, first, begun.files)
  return { engine, upstream, clock, executor, started, first, another }
}
