import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { createAdjustableClock } from '../../local/clock.ts'
import type { RunRef } from '../../shared/exports/names.ts'
import { resumeExports, startRun } from '../../shared/exports/start.ts'
import { createTables } from '../../shared/platform/azure-table.ts'
import type { Table } from '../../shared/platform/table.ts'
import { interceptTables } from '../intercepted-storage.ts'
import { noTimers, startTestStack, type TestStack, type TestStackOptions } from '../stack.ts'
import { freshStorage } from '../storage.ts'
import { brokenPromises } from './run-promises.ts'
import {
  createListeningExecutor,
  createMemoryTables,
  createSmallEngine,
  createSmallUpstream,
  drive,
  smallExport,
  type Tables,
} from './small-run.ts'

/** Checks the promise to all callers of concurrent starts. */
function expectOneRun(starts: { runId: string; joined: boolean }[]): void {
  expect(new Set(starts.map(({ runId }) => runId)).size).toBe(1)
  expect(starts.filter(({ joined }) => !joined)).toHaveLength(1)
}

describe('concurrent starts in several processes', () => {
  test('give one run in its first epoch, in any order of their requests', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.integer({ min: 2, max: 8 }),
        async (scheduler, callers) => {
          const { tables } = createMemoryTables()
          await tables('Exports').create()
          const { executor, started } = createListeningExecutor()
          const mixed = interceptTables(tables, {
            before: (request) => scheduler.schedule(Promise.resolve(), request),
          })
          const engines = Array.from({ length: callers }, () =>
            createSmallEngine(mixed, createSmallUpstream()),
          )

          const starts = await scheduler.waitFor(
            Promise.all(engines.map((engine) => startRun(engine, executor))),
          )

          expectOneRun(starts)
          expect(started).toEqual([{ kind: 'av-health', runId: starts[0]?.runId, epoch: 1 }])
        },
      ),
      { numRuns: 100 },
    )
  })

  test('give one run on a storage account too', async () => {
    const tables = createTables({ connectionString: await freshStorage() })
    await tables('Exports').create()
    const { executor, started } = createListeningExecutor()
    const engines = Array.from({ length: 8 }, () =>
      createSmallEngine(tables, createSmallUpstream()),
    )

    const starts = await Promise.all(engines.map((engine) => startRun(engine, executor)))

    expectOneRun(starts)
    expect(started).toHaveLength(1)
    expect(await engines[0]?.runs.runs(10)).toHaveLength(1)
  })
})

test('a start that was sent twice because its answer was lost has begun its run and says so', async () => {
  const { tables } = createMemoryTables()
  await tables('Exports').create()
  const { executor, started } = createListeningExecutor()
  const sentTwice: Tables = (name) => {
    const table = tables(name)
    const transact: Table['transact'] = async (operations) => {
      if (operations.some(({ kind, rowKey }) => kind === 'insert' && rowKey === 'active'))
        await table.transact(operations)
      return table.transact(operations)
    }
    return { ...table, transact }
  }

  const answer = await startRun(createSmallEngine(sentTwice, createSmallUpstream()), executor)

  expect(answer.joined).toBe(false)
  expect(started).toEqual([{ kind: 'av-health', runId: answer.runId, epoch: 1 }])
})

describe('a process that dies between the ledger row and the first instance', () => {
  const prepare = async () => {
    const memory = createMemoryTables()
    await memory.tables('Exports').create()
    const clock = createAdjustableClock()
    const engine = createSmallEngine(memory.tables, createSmallUpstream(), { clock })
    const listening = createListeningExecutor()
    const dying = {
      ...listening.executor,
      start: () => Promise.reject(new Error('the process died')),
    }
    await expect(startRun(engine, dying)).rejects.toThrow('the process died')
    return { memory, clock, engine, ...listening }
  }

  test('leaves a run that others join and the timer starts', async () => {
    const { memory, clock, engine, executor, started } = await prepare()

    const joined = await startRun(engine, executor)
    const startedAtOnce = [...started]
    clock.advance(5 * 60_000)
    await resumeExports(engine, executor)
    await drive(engine, started[0] as RunRef)

    expect(joined.joined).toBe(true)
    expect(startedAtOnce).toEqual([])
    expect(started).toEqual([{ kind: 'av-health', runId: joined.runId, epoch: 2 }])
    expect(await engine.runs.current()).toMatchObject({ runId: joined.runId })
    expect(await brokenPromises(memory, engine, [smallExport])).toEqual([])
  })

  test('leaves a run that any later start begins to execute', async () => {
    const { clock, engine, executor, started } = await prepare()

    clock.advance(61_000)
    const joined = await startRun(engine, executor)

    expect(joined).toMatchObject({ joined: true })
    expect(started).toEqual([{ kind: 'av-health', runId: joined.runId, epoch: 2 }])
  })
})

/** Few devices, and no schedule that starts a run. */
const small: TestStackOptions = {
  fleet: { size: 40, files: 2, badLines: 0 },
  env: noTimers,
}

describe('on the host', () => {
  let stack: TestStack
  afterEach(() => stack.stop())

  const fireTimer = (name: string) =>
    fetch(`${stack.host.url}/admin/functions/${name}`, {
      method: 'POST',
      body: '{"input":""}',
      headers: { 'x-functions-key': stack.keys.master, 'content-type': 'application/json' },
    })
  const listRuns = async () => (await stack.get('av-health/exports')).body.runs

  test.each([2, 8])(
    '%i HTTP starts give one run, and exactly one caller began it',
    async (callers) => {
      stack = await startTestStack(small)

      const answers = await Promise.all(
        Array.from({ length: callers }, () => stack.post('av-health/exports')),
      )
      const run = await stack.runToEnd(answers[0]?.body.runId)

      expect(answers.map(({ status }) => status)).toEqual(
        Array.from({ length: callers }, () => 202),
      )
      expectOneRun(answers.map(({ body }) => body))
      expect(await listRuns()).toHaveLength(1)
      expect(run).toMatchObject({ state: 'published', epoch: 1 })
    },
  )

  test('the timer and HTTP starts at the same time give one run', async () => {
    stack = await startTestStack(small)

    const [, ...answers] = await Promise.all([
      fireTimer('export-av-health'),
      stack.post('av-health/exports'),
      stack.post('av-health/exports'),
    ])
    const run = await stack.runToEnd(answers[0]?.body.runId)

    expect(new Set(answers.map(({ body }) => body.runId)).size).toBe(1)
    expect(answers.filter(({ body }) => !body.joined).length).toBeLessThanOrEqual(1)
    expect(await listRuns()).toHaveLength(1)
    expect(run).toMatchObject({ state: 'published', epoch: 1 })
  })
})
