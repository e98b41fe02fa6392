import { expect, test } from 'vitest'
import { createAdjustableClock } from '../../local/clock.ts'
import { resumeExports, startRun } from '../../shared/exports/start.ts'
import {
  createListeningExecutor,
  createMemoryTables,
  createSmallEngine,
  createSmallUpstream,
} from './small-run.ts'

test('a run that is taken over keeps the correlation id of its start', async () => {
  const { tables } = createMemoryTables()
  await tables('Exports').create()
  const clock = createAdjustableClock()
  const engine = createSmallEngine(tables, createSmallUpstream(), { clock })
  const under = (correlation: string) => ({
    ...engine,
    trace: { correlation },
  })
  const { executor, started } = createListeningExecutor()
  await startRun(under('start-1'), executor)
  clock.advance(5 * 60_000)

  await resumeExports(under('timer-2'), executor)

  expect(started.map(({ epoch, correlation }) => ({ epoch, correlation }))).toEqual([
    { epoch: 1, correlation: 'start-1' },
    { epoch: 2, correlation: 'start-1' },
  ])
})
