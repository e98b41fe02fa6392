import { afterEach, describe, expect, test } from 'vitest'
import { createAdjustableClock } from '../../local/clock.ts'
import { exportsSwitches } from '../../local/simulator/switches/exports.ts'
import { expireSnapshots } from '../../shared/exports/expire.ts'
import type { RunRef } from '../../shared/exports/names.ts'
import { createFor } from '../../shared/exports/snapshot-table.ts'
import { publishOnRequest, resumeExports, startRun } from '../../shared/exports/start.ts'
import { Crashed, crashAt, type Interceptor, interceptTables } from '../intercepted-storage.ts'
import { noTimers, startTestStack, type TestStack } from '../stack.ts'
import { brokenPromises } from './run-promises.ts'
import {
  createListeningExecutor,
  createMemoryTables,
  createSmallEngine,
  createSmallUpstream,
  drive,
  finish,
  type SmallExport,
} from './small-run.ts'

const HOUR_MS = 3_600_000
const id = (n: number) => n.toString(16).padStart(40, '0')
const line = (n: number, mode = '0') => JSON.stringify({ DeviceId: id(n), AvMode: mode })
const lines = (size: number, mode?: string) => Array.from({ length: size }, (_, n) => line(n, mode))

/** An account with a snapshot of 20 devices; `run` imports an export, an hour after the one before. */
async function prepare() {
  const memory = createMemoryTables()
  await memory.tables('Exports').create()
  const small = createSmallUpstream()
  Object.assign(small.upstream, { listings: 1, asked: 1 })
  const clock = createAdjustableClock()
  const { executor, started } = createListeningExecutor()
  const process = (interceptor: Interceptor = {}) =>
    createSmallEngine(interceptTables(memory.tables, interceptor), small, { clock })
  const engine = process()
  async function run(rows: string[]) {
    clock.advance(HOUR_MS)
    const generatedTime = clock.now().toISOString()
    small.upstream.now = { generatedTime, files: { 'group=1/a.json.gz': rows } }
    const { runId } = await startRun(engine, executor)
    await drive(engine, started.at(-1) as RunRef)
    return shown(runId)
  }
  async function shown(runId: string) {
    const found = await engine.runs.run(runId)
    if (!found) throw new Error('the run has no row')
    return found
  }
  const publish = (runId: string) => publishOnRequest(engine, executor, runId)
  const finish = () => drive(engine, started.at(-1) as RunRef)
  const first = await run(lines(20))
  return {
    memory,
    small,
    clock,
    executor,
    started,
    process,
    engine,
    run,
    shown,
    publish,
    finish,
    first,
  }
}

describe('a run that a guard stopped', () => {
  test.each([
    ['devices', lines(5)],
    ['unreadable', lines(20, 'Active')],
    ['rejected', [...lines(20), 'not json']],
  ])(
    '(%s) keeps its rows, and becomes the snapshot without a new download',
    async (guard, rows) => {
      const { memory, small, engine, run, shown, publish, finish, first } = await prepare()
      const stopped = await run(rows)
      expect(stopped).toMatchObject({ state: 'failed', guard })
      expect(await memory.names()).toContain(stopped.snapshot)
      const { listings } = small.upstream

      const answer = await publish(stopped.runId)
      await finish()

      expect(answer).toMatchObject({ run: { runId: stopped.runId, state: 'importing' } })
      const published = await shown(stopped.runId)
      expect(published).toMatchObject({
        state: 'published',
        guard,
        written: stopped.written,
        devicesBefore: 20,
        reason: `published on request: ${stopped.reason}`,
      })
      expect(await engine.runs.current()).toMatchObject({
        runId: stopped.runId,
        table: stopped.snapshot,
        devices: stopped.written,
      })
      expect((await shown(first.runId)).supersededAt).toBe(published.endedAt)
      expect(await engine.runs.active()).toBeUndefined()
      expect(small.upstream.listings).toBe(listings)
      expect(small.upstream.announced).toContain(stopped.runId)
    },
  )

  test('is published once, however often and however concurrently that is requested', async () => {
    const { run, shown, publish, finish, started } = await prepare()
    const stopped = await run(lines(5))

    const both = await Promise.all([publish(stopped.runId), publish(stopped.runId)])
    const during = await publish(stopped.runId)
    const instances = new Set(started.map(({ runId, epoch }) => `${runId}-${epoch}`))
    await finish()
    const { endedAt } = await shown(stopped.runId)
    const after = await publish(stopped.runId)

    for (const answer of [...both, during])
      expect(answer).toMatchObject({ run: { state: 'importing', epoch: 2 } })
    expect(after).toMatchObject({ run: { state: 'published', endedAt } })
    // The first run, the run that was stopped, and its second epoch.
    expect(instances.size).toBe(3)
  })

  test.each(['before', 'after'] as const)(
    'is published by the next process when one dies at any request, %s it is done',
    async (when) => {
      let died = 0
      for (let crash = crashAt(0, when), n = 0; n === 0 || crash.hasCrashed(); n++) {
        const deps = await prepare()
        const { run, clock, small, engine, executor, memory, started, shown } = deps
        const stopped = await run(lines(5))
        crash = crashAt(n, when)
        const mine = deps.process(crash)
        try {
          await publishOnRequest(mine, executor, stopped.runId)
          await drive(mine, started.at(-1) as RunRef)
        } catch (error) {
          if (!(error instanceof Crashed)) throw error
          died += 1
        }

        clock.advance(2 * 60_000)
        await resumeExports(engine, executor)
        await deps.publish(stopped.runId)
        await deps.finish()

        expect(await shown(stopped.runId), `request ${n}`).toMatchObject({ state: 'published' })
        expect(small.upstream.announced, `request ${n}`).toContain(stopped.runId)
        const all: SmallExport[] = [20, 5].map((size) => ({
          generatedTime: null,
          files: { a: lines(size) },
        }))
        expect(await brokenPromises(memory, engine, all), `request ${n}`).toEqual([])
      }
      expect(died).toBeGreaterThan(20)
    },
  )

  test('whose end was not tidied up is published too', async () => {
    const { run, engine, shown, publish, finish } = await prepare()
    const stopped = await run(lines(5))
    // Its process died before it released the run.
    await engine.runs.begin(stopped, (await engine.runs.stored(stopped.runId))?.etag)
    expect((await engine.runs.active())?.run).toBe(stopped.runId)

    await publish(stopped.runId)
    await finish()

    expect(await shown(stopped.runId)).toMatchObject({ state: 'published' })
  })

  test('is not touched by a late copy of the activity that made its table', async () => {
    const { memory, run, engine } = await prepare()
    const { runId, snapshot } = await run(lines(5))

    await createFor(engine, { kind: 'av-health', runId, epoch: 1 }, snapshot ?? '')
    await finish(engine, { kind: 'av-health', runId, epoch: 1 })

    expect(await memory.names()).toContain(snapshot)
  })

  test('can be published for 24 hours; then its table is removed, and its record stays', async () => {
    const { memory, clock, run, engine, shown, publish } = await prepare()
    const { runId, snapshot } = await run(lines(5))
    const other = await run(lines(6))
    clock.advance(24 * HOUR_MS - 60_000)
    await expireSnapshots(engine)
    const within = await memory.names()

    clock.advance(120_000)
    const late = await publish(other.runId).then(() => publish(runId))
    clock.advance(HOUR_MS)
    await expireSnapshots(engine)

    expect(within).toContain(snapshot)
    expect(late).toEqual({
      refusal: 'ended more than 24 hours ago',
    })
    expect(await memory.names()).not.toContain(snapshot)
    expect(await shown(runId)).toMatchObject({ state: 'failed', guard: 'devices', snapshot: null })
    expect(await publish(runId)).toEqual(late)
  })

  test('and was published on request keeps its rows like any other snapshot', async () => {
    const { memory, clock, run, engine, publish, finish } = await prepare()
    const { runId, snapshot } = await run(lines(5))
    await publish(runId)
    await finish()

    clock.advance(100 * HOUR_MS)
    await expireSnapshots(engine)

    expect(await memory.names()).toContain(snapshot)
  })
})

describe('a run can’t be published on request', () => {
  test('when no guard stopped it', async () => {
    const { small, engine, executor, started, first, publish, clock } = await prepare()
    const { runId } = await startRun(engine, executor)
    await drive(engine, started.at(-1) as RunRef)
    clock.advance(HOUR_MS)
    small.upstream.now = { generatedTime: clock.now().toISOString(), files: { a: lines(20) } }
    const gone = { ...engine.kind, openFile: async () => ({ kind: 'not-ready' }) as const }
    const failed = await startRun(engine, executor)
    await drive({ ...engine, kind: gone }, started.at(-1) as RunRef)

    expect(await publish(first.runId)).toEqual({
      refusal: 'ended as published, and no guard stopped it',
    })
    expect(await publish(runId)).toEqual({
      refusal: 'ended as unchanged, and no guard stopped it',
    })
    expect(await publish(failed.runId)).toEqual({
      refusal: 'ended as failed, and no guard stopped it',
    })
    expect(await engine.runs.current()).toMatchObject({ runId: first.runId })
  })

  test('when it holds no device', async () => {
    const { memory, run, publish } = await prepare()
    const { runId, guard } = await run([])

    expect(guard).toBe('devices')
    expect(await publish(runId)).toEqual({ refusal: 'has no device' })
    expect((await memory.names()).join()).not.toContain(runId)
  })

  test('when a newer run is published', async () => {
    const { run, publish } = await prepare()
    const stopped = await run(lines(5))
    const newer = await run(lines(21))

    expect(newer.state).toBe('published')
    expect(await publish(stopped.runId)).toEqual({
      refusal: `is older than snapshot ${newer.runId}`,
    })
  })

  test('while it is in progress, or another one is, which then ends as if nothing had happened', async () => {
    const { small, clock, engine, executor, run, shown, publish, finish, started } = await prepare()
    const stopped = await run(lines(5))
    clock.advance(HOUR_MS)
    small.upstream.now = { generatedTime: clock.now().toISOString(), files: { a: lines(22) } }
    const { runId } = await startRun(engine, executor)

    expect(await publish(stopped.runId)).toEqual({ inProgress: runId })
    expect(await publish(runId)).toEqual({ inProgress: runId })
    expect(started.at(-1)).toMatchObject({ runId, epoch: 1 })
    await finish()
    expect(await shown(runId)).toMatchObject({ state: 'published', written: 22 })
  })
})

test('a start while a run is being published on request names that it gets no new import', async () => {
  const { engine, executor, run, publish } = await prepare()
  const { runId } = await run(lines(5))
  await publish(runId)

  expect(await startRun(engine, executor)).toMatchObject({
    runId,
    joined: true,
    unmet: ['a new import'],
  })
})

test('the row of a run in progress that an operator deleted holds up no other run', async () => {
  const { memory, engine, executor, run, small, clock } = await prepare()
  small.upstream.now = { generatedTime: clock.now().toISOString(), files: { a: lines(20) } }
  const { runId } = await startRun(engine, executor)
  const row = { partitionKey: 'av-health', rowKey: `run|${runId}` }
  await memory.tables('Exports').transact([{ kind: 'delete', ...row }])

  await resumeExports(engine, executor)
  const next = await run(lines(20))

  expect(next).toMatchObject({ state: 'published' })
  expect(next.runId).not.toBe(runId)
})

describe('on the host', () => {
  let stack: TestStack
  afterEach(() => stack.stop())

  test('the problem names the route, the route publishes, and a repetition changes nothing', async () => {
    stack = await startTestStack({
      fleet: { size: 300, files: 3, badLines: 0 },
      env: noTimers,
    })
    const run = async () => {
      const { body } = await stack.post('av-health/exports')
      return stack.runToEnd(body.runId)
    }
    const first = await run()
    stack.simulator.setFaults(exportsSwitches['export-empty-file']?.faults ?? {})
    const stopped = await run()
    const before = (await stack.get('status')).body
    const listings = () =>
      stack.simulator.requests.filter(({ path }) => path.includes('InfoGathering')).length
    const asked = listings()
    const path = `av-health/exports/${stopped.runId}/publish`

    const refused = await stack.post(
      `av-health/exports/${first.runId.replace(/....$/, 'zzzz')}/publish`,
    )
    const accepted = await stack.post(path)
    const run2 = await stack.runToEnd(stopped.runId)
    const again = await stack.post(path)

    expect(before.sections.avHealth.problems).toHaveLength(1)
    expect(before.sections.avHealth.problems[0].fix).toContain(`POST /api/${path} `)
    expect(refused).toMatchObject({ status: 404 })
    expect(accepted).toMatchObject({ status: 202, body: { runId: stopped.runId } })
    expect(accepted.headers.get('location')).toContain('/api/continue?ticket=')
    expect(run2).toMatchObject({ state: 'published', guard: 'devices' })
    expect(run2.counts).toEqual(stopped.counts)
    expect(again).toMatchObject({ status: 202, body: { runId: stopped.runId, state: 'published' } })
    const after = (await stack.get('status')).body
    expect(after.avHealth.current).toMatchObject({
      runId: stopped.runId,
      devices: stopped.counts.written,
    })
    expect(after.sections.avHealth.problems).toEqual([])
    expect(listings()).toBe(asked)
    const { body } = await stack.get(
      'events?stream=av-health&type=defender-relay.av-health.snapshot.published',
    )
    const announced = body.events.filter(
      ({ data }: { data: { runId: string } }) => data.runId === stopped.runId,
    )
    expect(announced).toHaveLength(1)
  })

  test('a run that no guard stopped is a 409 that says so and what to do', async () => {
    stack = await startTestStack({
      fleet: { size: 60, files: 3, badLines: 0 },
      env: noTimers,
    })
    const first = (await stack.post('av-health/exports')).body.runId
    await stack.runToEnd(first)
    const { body } = await stack.post('av-health/exports')
    const { state } = await stack.runToEnd(body.runId)

    const refused = await stack.post(`av-health/exports/${body.runId}/publish`)
    const published = await stack.post(`av-health/exports/${first}/publish`)

    expect(published).toMatchObject({
      status: 409,
      body: {
        type: 'urn:defender-relay:run-not-publishable',
        detail: `Run ${first} ended as published, and no guard stopped it.`,
      },
    })
    expect(state).toBe('unchanged')
    expect(refused).toMatchObject({
      status: 409,
      body: {
        type: 'urn:defender-relay:run-not-publishable',
        detail: `Run ${body.runId} ended as unchanged, and no guard stopped it.`,
        fix: 'A run that a guard stopped can be published for 24 hours, while no newer snapshot is. POST /api/av-health/exports starts a new one.',
      },
    })
  })
})
