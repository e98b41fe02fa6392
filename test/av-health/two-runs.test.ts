import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { RunRef } from '../../shared/exports/names.ts'
import { resumeRun } from '../../shared/exports/start.ts'
import { reportExports } from '../../shared/exports/view.ts'
import { createComparedFleet, type Device } from '../exports/compared-fleet.ts'
import { drive, finish } from '../exports/small-run.ts'
import {
  Crashed,
  crashAt,
  type Interceptor,
  interceptTables,
  pauseAt,
} from '../intercepted-storage.ts'
import { runs } from '../runs.ts'
import { createAsker } from './asked-routes.ts'
import { expectOneRunEach, isSame } from './one-run.ts'

/** `npm run test:property` dies at every request, and mixes requests in many more orders. */
const isLong = process.env.MODE === 'property'

const old = { AvIsSignatureUpToDate: 'False', AvSignatureUpdateTime: '2020-01-02T00:00:00Z' }
const fleets: Device[][] = [
  [{ id: '0' }, { id: '2', ...old }, { id: '4' }, { id: '6' }, { id: 'a' }, { id: 'e' }],
  [{ id: '0', ...old }, { id: '2', ...old }, { id: '4' }, { id: '6' }, { id: 'c' }],
  [
    { id: '0', DeviceName: 'pc-new', AvMode: '1' },
    { id: '2', ...old, RbacGroupName: 'Servers' },
    { id: '6', ...old },
    { id: 'c', ...old },
    { id: 'e', AvMode: '1' },
  ],
]
const ids = [...'0246ace'].map((id) => id.repeat(40))

/** What is asked; each answer must be that of one run. Lists are read page by page. */
const lists = [
  'devices?limit=2',
  'devices?condition=signature-stale&limit=1',
  'devices?condition=passive&sort=id&limit=1',
  'devices?name=pc*&limit=2',
  'devices?name=pc-new',
]
const answers = [
  ...ids.map((id) => `devices/${id}`),
  ...ids.map((id) => `devices/${id}/history`),
  'av-health/changes',
  'av-health/summary',
  'av-health/snapshots',
  ...['mode', 'group'].map((by) => `av-health/trend?days=2&by=${by}`),
]

/** Two snapshots are published; the third is to come. */
async function open() {
  const fleet = await createComparedFleet()
  for (const devices of fleets.slice(0, 2)) await fleet.publish([devices])
  const asker = createAsker(fleet.engine())
  const all = async (tables = fleet.storage.tables) => {
    const { ask } = createAsker(fleet.engine({ tables }))
    const entries = [...answers, ...lists].map(async (path) => {
      // How many rows were read is no part of what an answer says.
      const { scanned: _, ...body } = (await ask(path)).body
      return [path, body]
    })
    return Object.fromEntries(await Promise.all(entries))
  }
  const wholeLists = async () => {
    const entries = lists.map(async (path) => [path, await asker.askAll(path, 'devices')])
    return Object.fromEntries(await Promise.all(entries))
  }
  return { ...fleet, asker, all, wholeLists }
}

type World = Awaited<ReturnType<typeof open>>

/** Runs the third export; every request goes through the interceptor, and a run that dies is taken over. */
async function runThird(world: World, interceptor: Interceptor, onDeath = async () => {}) {
  const tables = interceptTables(world.storage.tables, interceptor)
  const options = { tables }
  let ref: RunRef | undefined
  try {
    ref = await world.begin([fleets[2] ?? []], options)
    await finish(world.engine(options), ref, 2)
  } catch (error) {
    if (!(error instanceof Crashed)) throw error
    await onDeath()
  }
  for (let tries = 0; tries < 5 && (await world.engine().runs.active()); tries++) {
    world.clock.advance(2 * 60_000)
    await resumeRun(world.engine(), world.executor)
    await drive(world.engine(), world.started.at(-1) as RunRef)
  }
}

test('between any two requests of a run every answer is of one snapshot, and every list ends in its own', async () => {
  const world = await open()
  const [before, listsBefore] = [await world.all(), await world.wholeLists()]
  // Lists that were begun before go on meanwhile, one page at a time.
  const begun = lists.map((path) => ({
    path,
    next: path as string | undefined,
    found: [] as unknown[],
  }))
  const turn = async (one: (typeof begun)[number]) => {
    if (!one.next) return
    const { body, next } = await world.asker.ask(one.next)
    one.found.push(...body.devices)
    one.next = next
  }
  for (const one of begun) await turn(one)
  const seen: Record<string, unknown>[] = []
  const reports: unknown[] = []
  let requests = 0
  await runThird(world, {
    async after() {
      seen.push(await world.all())
      const { current, lastRun } = await reportExports(world.engine(), null)
      reports.push([current?.runId, lastRun?.runId, lastRun?.state])
      const one = begun[requests++ % (3 * begun.length)]
      if (one) await turn(one)
    },
  })
  for (const one of begun) while (one.next) await turn(one)

  const after = await world.all()
  expect(isSame(before, after)).toBe(false)
  expectOneRunEach([...seen, after], before, after)
  expect(Object.fromEntries(begun.map(({ path, found }) => [path, found]))).toEqual(listsBefore)
  const runId = (await world.engine().runs.current())?.runId
  for (const [current, last, state] of reports as string[][])
    if (last === runId) expect(current === runId).toBe(state === 'published')
})

test('the same while the run dies at any request and is taken over', async () => {
  const whole = await open()
  const counting = crashAt(Number.POSITIVE_INFINITY, 'after')
  await runThird(whole, counting)
  const step = isLong ? 1 : 17
  for (let n = 3; n < counting.requests.length; n += step)
    for (const when of isLong ? (['before', 'after'] as const) : (['after'] as const)) {
      const world = await open()
      const before = await world.all()
      const seen: Record<string, unknown>[] = []
      await runThird(world, crashAt(n, when), async () => void seen.push(await world.all()))

      const after = await world.all()
      expect(seen, counting.requests[n]).toHaveLength(1)
      expectOneRunEach([...seen, after], before, after)
    }
})

test('the same for those who have read a part of what they need when the run is published', async () => {
  const world = await open()
  const before = await world.all()
  const ref = await world.begin([fleets[2] ?? []])
  /** Starts to ask, and stops before the n-th request. */
  const begin = async <T>(n: number, ask: (engine: ReturnType<World['engine']>) => Promise<T>) => {
    const pause = pauseAt(n)
    const tables = interceptTables(world.storage.tables, pause)
    const answer = ask(world.engine({ tables }))
    await Promise.race([pause.arrived, answer])
    return { pause, answer }
  }
  const readers = [...answers, ...lists].flatMap((path) =>
    Array.from({ length: 8 }, async (_, n) => ({
      path,
      ...(await begin(n, (engine) => createAsker(engine).ask(path))),
    })),
  )
  const reports = Array.from({ length: 5 }, (_, n) =>
    begin(n, (engine) => reportExports(engine, null)),
  )
  const waiting = await Promise.all([...readers, ...reports])

  await finish(world.engine(), ref)

  const after = await world.all()
  for (const { pause } of waiting) pause.letGo()
  for (const { path, answer } of await Promise.all(readers)) {
    const { scanned: _, ...body } = (await answer).body
    expectOneRunEach([{ [path]: body }], before, after, { areAtOnce: false })
  }
  for (const { answer } of await Promise.all(reports)) {
    const { current, lastRun } = await answer
    expect(current?.runId === ref.runId).toBe(lastRun?.state === 'published')
  }
})

test('the same in any order of the requests of the run and of those who ask', async () => {
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), async (scheduler) => {
      const world = await open()
      const before = await world.all()
      const wait = { before: (request: string) => scheduler.schedule(Promise.resolve(), request) }
      const ref = await world.begin([fleets[2] ?? []])
      const tables = interceptTables(world.storage.tables, wait)
      const seen: Record<string, unknown>[] = []
      const reports: Awaited<ReturnType<typeof reportExports>>[] = []
      const asking = async () => {
        for (let n = 0; n < 3; n++) {
          seen.push(await world.all(tables))
          reports.push(await reportExports(world.engine({ tables }), null))
        }
      }

      await scheduler.waitFor(Promise.all([finish(world.engine({ tables }), ref, 2), asking()]))

      const after = await world.all()
      expectOneRunEach([...seen, after], before, after, { areAtOnce: false })
      for (const { current, lastRun } of reports)
        expect(current?.runId === ref.runId).toBe(lastRun?.state === 'published')
    }),
    { numRuns: runs(3, 300) },
  )
})
