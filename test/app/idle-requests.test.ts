import { expect, onTestFinished, test } from 'vitest'
import {
  countInto,
  countRequests,
  type RequestCounts,
} from '../../local/tools/cost/count-requests.ts'
import { MINUTE, startDay } from './played-day.ts'

/** What the timers of the next minutes ask the data account for, for each minute. */
async function requestsOf(day: Awaited<ReturnType<typeof startDay>>, except: string[]) {
  const minutes = 10
  const counts: RequestCounts = { table: 0, queue: 0, call: 0 }
  await countInto(counts, async () => {
    for (let n = 0; n < minutes; n++) await day.pass(MINUTE, { except })
  })
  // The test itself asks the queue once.
  return { table: counts.table / minutes, queue: counts.queue / minutes - 1 }
}

test('an idle minute asks the tables at most 24 times, a heartbeat 48 times, and no queue', async () => {
  const day = await startDay(new Date('2026-11-20T06:00:00Z'))
  onTestFinished(() => day.stop())
  onTestFinished(countRequests(day.storage))
  await day.subscribe('one')
  await day.exportNow()
  await day.pass(2 * MINUTE)

  const idle = await requestsOf(day, ['resume-exports'])
  const withHeartbeat = await requestsOf(day, [])

  expect(idle.table).toBeLessThanOrEqual(24)
  expect(withHeartbeat.table - idle.table).toBeLessThanOrEqual(48)
  expect([idle.queue, withHeartbeat.queue]).toEqual([0, 0])
})
