import { expect, test } from 'vitest'
import { poll } from '../../shared/changes/poll.ts'
import { type Memory, reportChanges } from '../../shared/changes/poll-state.ts'
import { machineActions } from '../../shared/changes/resources/machine-actions.ts'
import { nextRun } from '../../shared/platform/schedule.ts'
import { createMemoryTable } from '../memory-table.ts'
import { createContext, createItemStore } from './item-store.ts'
import { createModelClock } from './model.ts'

/** Polls by one process or several, on a schedule of each minute. */
async function prepare() {
  const clock = createModelClock()
  const table = createMemoryTable('Streams', clock)
  await table.create()
  const { source } = createItemStore(machineActions, clock)
  const contextOf = (memory: Memory) =>
    createContext(
      { table, clock, source },
      { memory, nextDue: (after) => nextRun('0 * * * * *', after) },
    )
  const now = () => clock.now().toISOString()
  return {
    now,
    advance: (minutes: number) => clock.advance(minutes),
    pollBy: (memory: Memory) => poll(contextOf(memory)),
    gap: async () => (await reportChanges(contextOf({}), null)).gap,
  }
}

test('a time without polls is shown by the first poll after it, for a day', async () => {
  const { now, advance, pollBy, gap } = await prepare()
  const memory = {}
  const gaps: unknown[] = []
  for (const minutes of [1, 1, 1]) {
    await advance(minutes)
    await pollBy(memory)
    gaps.push(await gap())
  }
  const since = now()
  await advance(7)
  const until = now()
  await pollBy(memory)
  const found = await gap()
  await advance(1)
  await pollBy(memory)
  const stays = await gap()
  await advance(24 * 60)

  expect(gaps).toEqual([null, null, null])
  expect(found).toEqual({ since, until })
  expect(stays).toEqual(found)
  expect(await gap()).toBeNull()
})

test('the longer of two such times is kept, and a poll by another process ends one', async () => {
  const { now, advance, pollBy, gap } = await prepare()
  const [one, other] = [{}, {}]
  await pollBy(one)
  const since = now()
  await advance(9)
  await pollBy(one)
  const longer = { since, until: now() }
  await advance(4)
  await pollBy(one)
  // The first process sleeps meanwhile.
  for (let minute = 0; minute < 30; minute++) {
    await advance(1)
    await pollBy(other)
  }
  await pollBy(one)

  expect(await gap()).toEqual(longer)
})
