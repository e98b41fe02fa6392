import { afterEach, describe, expect, test } from 'vitest'
import { createAdjustableClock } from '../../local/clock.ts'
import type { ExportEngine } from '../../shared/exports/engine.ts'
import { expireSnapshots } from '../../shared/exports/expire.ts'
import type { RunRef } from '../../shared/exports/names.ts'
import { startRun } from '../../shared/exports/start.ts'
import { noTimers, startTestStack, type TestStack } from '../stack.ts'
import { brokenPromises } from './run-promises.ts'
import {
  createListeningExecutor,
  createMemoryTables,
  createSmallEngine,
  createSmallUpstream,
  drive,
  type SmallExport,
  smallExport,
} from './small-run.ts'

const HOUR_MS = 60 * 60_000
const DAY_MS = 24 * HOUR_MS

/** An account without any export, and a way to publish a snapshot of a new export. */
async function prepare(retention: Partial<ExportEngine['retention']>) {
  const memory = createMemoryTables()
  await memory.tables('Exports').create()
  const clock = createAdjustableClock()
  const upstream = createSmallUpstream()
  // The links of every listing are valid: this test begins after the import.
  upstream.upstream.listings = 1
  const engine = createSmallEngine(memory.tables, upstream, { clock, retention })
  const { executor, started } = createListeningExecutor()

  async function publish(): Promise<string> {
    upstream.upstream.now = {
      ...smallExport,
      generatedTime: clock.now().toISOString(),
    } satisfies SmallExport
    const { runId } = await startRun(engine, executor)
    await drive(engine, started.at(-1) as RunRef)
    return runId
  }
  /** Publishes a number of snapshots, a number of hours apart. */
  async function publishMany(count: number, apartMs: number): Promise<string[]> {
    const runIds: string[] = []
    for (let n = 0; n < count; n++) {
      if (n > 0) clock.advance(apartMs)
      runIds.push(await publish())
    }
    return runIds
  }
  const stored = async () =>
    (await memory.names()).flatMap((name) => /^AvHealthSnapshot(.*)/.exec(name)?.[1] ?? [])
  return { memory, clock, engine, publish, publishMany, stored }
}

describe('a snapshot', () => {
  test('stays while it is current, at any age', async () => {
    const { clock, engine, publish, stored } = await prepare({ days: 1, graceMs: 0, newest: 1 })
    const only = await publish()

    clock.advance(400 * DAY_MS)
    await expireSnapshots(engine)

    expect(await stored()).toEqual([only])
    expect(await engine.runs.run(only)).toMatchObject({ state: 'published' })
  })

  test('is dropped after its retention time', async () => {
    const { memory, clock, engine, publishMany, stored } = await prepare({
      days: 2,
      graceMs: HOUR_MS,
    })
    const [first, second, third] = await publishMany(3, DAY_MS - HOUR_MS)
    const before = await stored()

    clock.advance(3 * HOUR_MS)
    await expireSnapshots(engine)

    expect(before).toEqual([first, second, third])
    expect(await stored()).toEqual([second, third])
    expect(await engine.runs.run(first ?? '')).toMatchObject({
      state: 'published',
      snapshot: null,
      written: 5,
    })
    expect(await brokenPromises(memory, engine, [smallExport])).toEqual([])
  })

  test('is dropped at any age when the limit of newer ones is reached', async () => {
    const { engine, publishMany, stored } = await prepare({ days: 30, graceMs: 0, newest: 3 })

    const runIds = await publishMany(5, 1000)
    await expireSnapshots(engine)

    expect(await stored()).toEqual(runIds.slice(2))
  })

  test('stays during the grace period for readers', async () => {
    const { clock, engine, publishMany, stored } = await prepare({
      days: 1,
      graceMs: HOUR_MS,
      newest: 1,
    })
    const [old, previous, current] = await publishMany(3, HOUR_MS / 2)
    clock.advance(HOUR_MS / 2 - 1000)
    await expireSnapshots(engine)
    const within = await stored()

    clock.advance(1001)
    await expireSnapshots(engine)

    expect(within).toEqual([old, previous, current])
    expect(await stored()).toEqual([previous, current])
  })

  test('that is the one before the current stays at any age: the next run is compared with it', async () => {
    const { memory, clock, engine, publishMany, stored } = await prepare({
      ...{ days: 1, graceMs: 0, newest: 1 },
    })
    const runIds = await publishMany(3, DAY_MS)

    clock.advance(400 * DAY_MS)
    await expireSnapshots(engine)

    expect(await stored()).toEqual(runIds.slice(1))
    const conditions = (await memory.names()).filter((name) => name.includes('Conditions'))
    expect(conditions).toEqual(runIds.slice(1).map((runId) => `AvHealthConditions${runId}`))
  })

  test('keeps its conditions until two newer ones are published and readers have had their time', async () => {
    const { memory, clock, engine, publishMany, stored } = await prepare({
      ...{ days: 30, graceMs: HOUR_MS },
    })
    const [first, ...others] = await publishMany(3, 12 * HOUR_MS)
    const conditions = async () =>
      (await memory.names()).flatMap((name) => /^AvHealthConditions(.*)/.exec(name)?.[1] ?? [])
    clock.advance(HOUR_MS - 1000)
    await expireSnapshots(engine)
    const within = await conditions()

    clock.advance(1001)
    await expireSnapshots(engine)

    expect(within).toEqual([first, ...others])
    expect(await conditions()).toEqual(others)
    expect(await stored()).toEqual([first, ...others])
    expect(await brokenPromises(memory, engine, [smallExport])).toEqual([])
  })

  test('whose drop was interrupted is dropped again', async () => {
    const { memory, clock, engine, publishMany, stored } = await prepare({ days: 1, graceMs: 0 })
    const [old, previous, current] = await publishMany(3, 2 * HOUR_MS)
    const dropped: ExportEngine['runs']['dropped'] = () =>
      Promise.reject(new Error('the process died'))
    clock.advance(2 * DAY_MS)
    await expect(expireSnapshots({ ...engine, runs: { ...engine.runs, dropped } })).rejects.toThrow(
      'died',
    )

    await expireSnapshots(engine)

    expect(await stored()).toEqual([previous, current])
    expect(await engine.runs.run(old ?? '')).toMatchObject({ snapshot: null })
    expect(await brokenPromises(memory, engine, [smallExport])).toEqual([])
  })

  test('tables that no run names are never dropped', async () => {
    const { memory, clock, engine, publishMany, stored } = await prepare({
      days: 1,
      graceMs: 0,
      newest: 1,
    })
    await memory.tables('AvHealthSnapshot20200101000000abcd').create()
    const runIds = await publishMany(2, DAY_MS)

    clock.advance(100 * DAY_MS)
    await expireSnapshots(engine)

    expect(await stored()).toEqual(['20200101000000abcd', ...runIds])
  })
})

describe('a run', () => {
  test('is deleted with its files after ninety days, and not before its table is gone', async () => {
    const { memory, clock, engine, publish } = await prepare({ days: 30, graceMs: HOUR_MS })
    const old = await publish()
    clock.advance(100 * DAY_MS)
    const previous = await publish()
    const current = await publish()
    await expireSnapshots(engine)
    const within = await engine.runs.run(old)

    clock.advance(2 * HOUR_MS)
    await expireSnapshots(engine)
    await expireSnapshots(engine)

    expect(within).toMatchObject({ snapshot: `AvHealthSnapshot${old}` })
    expect((await engine.runs.runs(10)).map(({ runId }) => runId)).toEqual([current, previous])
    const changes = await Array.fromAsync(memory.tables('AvHealthChanges').list({}))
    expect(changes.filter(({ partitionKey }) => partitionKey.startsWith(old))).toEqual([])
    const rows = await Array.fromAsync(
      memory.tables('Exports').list({ partitionKey: `av-health|${old}` }),
    )
    expect(rows).toEqual([])
    expect(await brokenPromises(memory, engine, [smallExport])).toEqual([])
  })

  test('may be deleted by two processes at once', async () => {
    const { clock, engine, publish } = await prepare({ days: 1, graceMs: 0 })
    await publish()
    clock.advance(DAY_MS)
    await publish()
    await publish()
    clock.advance(100 * DAY_MS)
    await expireSnapshots(engine)

    await Promise.all([expireSnapshots(engine), expireSnapshots(engine), expireSnapshots(engine)])

    expect(await engine.runs.runs(10)).toHaveLength(2)
  })
})

describe('housekeeping on the host', () => {
  let stack: TestStack
  afterEach(() => stack.stop())

  test('purges only the history of instances that ended a week ago, and expired tickets', async () => {
    stack = await startTestStack({
      fleet: { size: 40, files: 3, badLines: 0 },
      env: noTimers,
    })
    const engine = await stack.engine()
    const { body: first } = await stack.post('av-health/exports')
    await stack.runToEnd(first.runId)
    stack.simulator.setFaults({ notReadyFiles: 1, notReadySeconds: 1e9 })
    const { body: standing } = await stack.post('av-health/exports', { force: true })
    await until(async () => (await engine.runs.run(standing.runId))?.state === 'importing')
    const ref = { kind: 'av-health', runId: standing.runId, epoch: 1 }
    // As if it had made progress all the time: otherwise it would be taken over.
    await engine.runs.update(ref, (run) => ({
      ...run,
      progressAt: new Date(stack.clock.now().getTime() + 9 * DAY_MS).toISOString(),
    }))
    const before = await instances()

    stack.clock.advance(8 * DAY_MS)
    await fetch(`${stack.host.url}/admin/functions/housekeeping`, {
      method: 'POST',
      body: '{"input":""}',
      headers: { 'x-functions-key': stack.keys.master, 'content-type': 'application/json' },
    })
    await until(async () => !(await instances()).some((id) => id.startsWith(first.runId)))

    expect(before).toContain(`${first.runId}-1`)
    expect(await instances()).toContain(`${standing.runId}-1`)
    expect(await rowKeys('Tickets')).toEqual([])
    stack.simulator.setFaults({ notReadyFiles: 0 })
    expect(await stack.runToEnd(standing.runId)).toMatchObject({ state: 'published', epoch: 1 })
  })

  const rowKeys = async (table: string) => {
    const engine = await stack.engine()
    return (await Array.fromAsync(engine.table(table).list({}))).map(({ rowKey }) => rowKey)
  }
  const instances = () => rowKeys('DefenderRelayInstances')

  async function until(holds: () => Promise<boolean>): Promise<void> {
    while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 25))
  }
})
