import { describe, expect, test } from 'vitest'
import { createAdjustableClock } from '../../local/clock.ts'
import { beginRun } from '../../shared/exports/begin-run.ts'
import type { RunRef } from '../../shared/exports/names.ts'
import { publishRun } from '../../shared/exports/publish-run.ts'
import { resumeRun } from '../../shared/exports/resume-run.ts'
import { startRun } from '../../shared/exports/start-run.ts'
import { brokenPromises, ledgerRows } from './run-promises.ts'
import {
  createListeningExecutor,
  createMemoryTables,
  createSmallEngine,
  createSmallUpstream,
  drive,
  importAll,
  laterExport,
  smallExport,
} from './small-run.ts'
import { heldAt, watched } from './watched-tables.ts'

const methods = ['files', 'json'] as const

/** More requests than a small run makes. */
const ALL = 90

/** A run under way in the hands of an older executor that is held at its n-th request. */
async function prepare(method: 'files' | 'json', n: number) {
  const memory = createMemoryTables()
  const upstream = createSmallUpstream()
  await memory.tables('Exports').create()
  const { executor, started } = createListeningExecutor()
  const clock = createAdjustableClock()
  const engine = createSmallEngine(memory.tables, upstream, { method, clock })
  await startRun(engine, executor)
  const first = started[0] as RunRef
  const held = heldAt(n)
  const older = drive(createSmallEngine(watched(memory.tables, held), upstream, { method, clock }), first)
  await Promise.race([held.arrived, older])
  /** A second executor takes the run over, though the first one lives. */
  const takeOver = async () => {
    clock.advance(120_000)
    await resumeRun(engine, executor)
    return started.at(-1) as RunRef
  }
  return { memory, upstream, engine, held, older, takeOver, first }
}

describe.each(methods)('by %s, whoever was taken over', (method) => {
  test.each(Array.from({ length: ALL }, (_, n) => n))('at its request %i changes nothing any more', async (n) => {
    const { memory, upstream, engine, held, older, takeOver, first } = await prepare(method, n)
    upstream.upstream.now = laterExport
    const second = await takeOver()
    const begun = second.epoch > first.epoch ? await beginRun(engine, second) : undefined
    const before = await ledgerRows(memory.tables)

    held.letGo()
    await older

    expect(await ledgerRows(memory.tables)).toEqual(before)
    if (begun?.state === 'importing') {
      await importAll(engine, second, begun.files)
      await publishRun(engine, second)
    }
    expect(await brokenPromises(memory, engine, [smallExport, laterExport])).toEqual([])
  })

  test.each(Array.from({ length: ALL }, (_, n) => n))(
    'at its request %i and wakes when all is over changes nothing',
    async (n) => {
      const { memory, upstream, engine, held, older, takeOver, first } = await prepare(method, n)
      upstream.upstream.now = laterExport
      const second = await takeOver()
      if (second.epoch > first.epoch) await drive(engine, second)
      const before = await ledgerRows(memory.tables)

      held.letGo()
      await older

      expect(await ledgerRows(memory.tables)).toEqual(before)
      expect(await brokenPromises(memory, engine, [smallExport, laterExport])).toEqual([])
    },
  )
})
