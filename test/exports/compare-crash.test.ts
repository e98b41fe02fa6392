import { describe, expect, test } from 'vitest'
import { compareSlice } from '../../shared/exports/compare.ts'
import type { RunRef } from '../../shared/exports/names.ts'
import { beginCompare, publishRun } from '../../shared/exports/publish.ts'
import { resumeRun } from '../../shared/exports/start.ts'
import { crashAt, interceptTables } from '../intercepted-storage.ts'
import { createComparedFleet, type Device, shortOf } from './compared-fleet.ts'
import { createMemoryTables, createStoredTables, drive, finish, type Storage } from './small-run.ts'

const first: Device[] = [...'0127abf'].map((id) => ({ id }))
const then: Device[] = [
  { id: '0', AvMode: '1', DeviceName: 'pc-x' },
  ...[{ id: '1' }, { id: '7' }, { id: 'a' }, { id: 'b' }, { id: 'c' }],
  { id: 'zz', AvMode: '2' },
]

type Fleet = Awaited<ReturnType<typeof createComparedFleet>>

/** All that a comparison stores and emits, without the ids of runs and times. */
async function outcomeOf(fleet: Fleet, runId: string) {
  const plain = (text: string) => shortOf(text).replaceAll(runId, 'RUN')
  const rows: string[] = []
  for (const name of ['Changes', 'Devices', 'Names', 'Rollups', `Conditions${runId}`])
    for (const { partitionKey, rowKey, columns } of await fleet.rows(`AvHealth${name}`)) {
      const isOfRun = JSON.stringify([partitionKey, columns]).includes(runId)
      const { at: _at, runId: _run, firstSeenAt: _first, goneSince: _gone, ...rest } = columns
      const key = plain(rowKey).replace(/\d{14}/, 'REVERSE')
      if (isOfRun || name.includes(runId))
        rows.push(plain(`${name} ${partitionKey} ${key} ${JSON.stringify(rest)}`))
    }
  const events = (await fleet.events()).map(({ type, subject }) => plain(`${type} ${subject}`))
  const run = await fleet.engine().runs.run(runId)
  return { rows, events: events.slice(1), state: run?.state, changes: run?.changes?.counts }
}

/** A run that is to be compared crashes after its n-th request and is taken over; answers what remains, and the requests. */
async function crash(storage: Storage, n: number) {
  const fleet = await createComparedFleet(storage)
  const before = await fleet.publish([first])
  const ref = await fleet.begin([then])
  const crashing = crashAt(n, 'after')
  const tables = interceptTables(storage.tables, crashing)
  await finish(fleet.engine({ tables }), ref, 3).catch(() => {})
  if (crashing.hasCrashed()) {
    const current = await fleet.engine().runs.current()
    if (current?.runId === before) await expectUnseen(fleet, before)
    fleet.clock.advance(2 * 60_000)
    await resumeRun(fleet.engine(), fleet.executor)
    await drive(fleet.engine(), fleet.started.at(-1) as RunRef)
  }
  return { outcome: await outcomeOf(fleet, ref.runId), requests: crashing.requests }
}

/** Nothing without the id of a run shows anything of a run that is not published. */
async function expectUnseen(fleet: Fleet, current: string) {
  expect(await fleet.events()).toHaveLength(1)
  const rollups = await fleet.rows('AvHealthRollups')
  const days = rollups.filter(({ partitionKey }) => partitionKey.startsWith('day|'))
  expect(days.map(({ columns }) => columns.runId)).toEqual(days.map(() => current))
}

const whole = () => crash(createMemoryTables(), Number.POSITIVE_INFINITY)

describe('a comparison that is killed and resumed', () => {
  test('after any request stores each transition once, sends each once, and is not seen before it is published', async () => {
    const { outcome, requests } = await whole()
    expect(outcome).toMatchObject({ state: 'published', changes: { disappeared: 2, appeared: 2 } })
    expect(outcome.events).toEqual([
      ...['device.mode-changed 0', 'device.renamed 0', 'device.disappeared 2'],
      ...['device.appeared c', 'device.disappeared f', 'device.appeared zz'],
      'snapshot.published RUN',
    ])

    for (const [n, request] of requests.entries())
      expect((await crash(createMemoryTables(), n)).outcome, `${n} ${request}`).toEqual(outcome)
  })

  test('by two executors at once stores what one stores', async () => {
    const { outcome } = await whole()
    const fleet = await createComparedFleet()
    await fleet.publish([first])
    const ref = await fleet.begin([then])
    const engines = [fleet.engine(), fleet.engine()]

    const [slices = []] = await Promise.all(engines.map((engine) => beginCompare(engine, ref)))
    await Promise.all(
      engines.flatMap((engine) => slices.map((slice) => compareSlice(engine, { ...ref, slice }))),
    )
    await Promise.all(engines.map((engine) => publishRun(engine, ref)))

    expect(await outcomeOf(fleet, ref.runId)).toEqual(outcome)
  })

  test('on a storage account too', async () => {
    const { outcome, requests } = await whole()
    const n = requests.findIndex((request) => request.includes('~progress'))

    const stored = await crash(await createStoredTables(), n)

    expect(n).toBeGreaterThan(0)
    expect(stored.outcome).toEqual(outcome)
  })
})
