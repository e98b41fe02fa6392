import fc, { type Scheduler } from 'fast-check'
import { expect, test } from 'vitest'
import { createAdjustableClock } from '../../local/clock.ts'
import type { RunRef } from '../../shared/exports/names.ts'
import { resumeRun, startRun } from '../../shared/exports/start.ts'
import { interceptTables } from '../intercepted-storage.ts'
import { runs } from '../runs.ts'
import { brokenPromises } from './run-promises.ts'
import {
  createListeningExecutor,
  createMemoryTables,
  createSmallEngine,
  createSmallUpstream,
  drive,
  laterExport,
  type SmallExport,
  smallExport,
} from './small-run.ts'

const numRuns = runs(40, 1500)

/** An earlier run is published; another run has begun and has no executor yet. */
async function prepare(method: 'files' | 'json', now: SmallExport, before?: SmallExport) {
  const memory = createMemoryTables()
  await memory.tables('Exports').create()
  const upstream = createSmallUpstream(before)
  const clock = createAdjustableClock()
  const listening = createListeningExecutor()
  const published: string[] = []
  const count = (request: string) =>
    void (/(insert|replace) current/.test(request) && published.push(request))
  const engine = createSmallEngine(interceptTables(memory.tables, { after: count }), upstream, {
    method,
    clock,
  })
  if (before) {
    await startRun(engine, listening.executor)
    await drive(engine, listening.started[0] as RunRef)
    published.pop()
  }
  upstream.upstream.now = now
  upstream.upstream.listings = 0
  await startRun(engine, listening.executor)
  clock.advance(120_000)
  /** Another process over the same tables, whose every request waits for the scheduler. */
  const another = (scheduler: Scheduler) =>
    createSmallEngine(
      interceptTables(memory.tables, {
        before: (request) => scheduler.schedule(Promise.resolve(), request),
        after: count,
      }),
      upstream,
      { method, clock },
    )
  /** The next process does the remaining work. */
  const finish = async () => {
    for (let tries = 0; tries < 5 && (await engine.runs.active()); tries++) {
      clock.advance(120_000)
      await resumeRun(engine, listening.executor)
      await drive(engine, listening.started.at(-1) as RunRef)
    }
  }
  return {
    memory,
    upstream,
    clock,
    listening,
    engine,
    another,
    published,
    finish,
    first: listening.started.at(-1) as RunRef,
  }
}

test.each(['files', 'json'] as const)(
  'by %s, two executors at once, each in its epoch, publish one whole export once, in any order of their requests',
  async (method) => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.boolean(),
        fc.nat(60),
        async (scheduler, replaced, changesAt) => {
          const deps = await prepare(
            method,
            replaced ? smallExport : laterExport,
            replaced ? undefined : smallExport,
          )
          const { memory, upstream, clock, listening, engine, another, published, finish, first } =
            deps
          let requests = 0
          const older = drive(another(scheduler), first)
          const newer = (async () => {
            clock.advance(120_000)
            const mine = another(scheduler)
            await resumeRun(mine, listening.executor)
            const second = listening.started.at(-1) as RunRef
            if (second.epoch > first.epoch) await drive(mine, second)
          })()
          const change = (async () => {
            while (requests++ < changesAt)
              await scheduler.schedule(Promise.resolve(), 'time goes by')
            if (replaced) upstream.upstream.now = laterExport
          })()

          await scheduler.waitFor(Promise.all([older, newer, change]))
          await finish()

          expect(await brokenPromises(memory, engine, [smallExport, laterExport])).toEqual([])
          expect(published.length).toBeLessThanOrEqual(1)
        },
      ),
      { numRuns },
    )
  },
)

test.each(['files', 'json'] as const)(
  'by %s, an activity that runs twice in one epoch, and a third time in the next, never leads to a wrong snapshot',
  async (method) => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), fc.boolean(), async (scheduler, taken) => {
        const { memory, listening, engine, another, published, finish, first } = await prepare(
          method,
          smallExport,
        )
        const third = async () => {
          const mine = another(scheduler)
          await resumeRun(mine, listening.executor)
          const second = listening.started.at(-1) as RunRef
          if (second.epoch > first.epoch) await drive(mine, second)
        }

        const twins = [drive(another(scheduler), first), drive(another(scheduler), first)]
        await scheduler.waitFor(Promise.allSettled([...twins, ...(taken ? [third()] : [])]))
        await finish()

        expect(await brokenPromises(memory, engine, [smallExport])).toEqual([])
        expect(published.length).toBeLessThanOrEqual(1)
      }),
      { numRuns },
    )
  },
)
