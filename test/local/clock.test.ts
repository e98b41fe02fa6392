import { afterAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createAdjustableClock } from '../../local/clock.ts'
import {
  advance,
  ask,
  askRun,
  endAll,
  freshFolder,
  hurry,
  type Launched,
  launch,
  pause,
} from './launch.ts'

afterAll(endAll)

const HOUR_MS = 3_600_000
const nextTurn = () => new Promise((resolve) => setImmediate(resolve))

describe('an adjustable clock', () => {
  test('runs like the real one, ahead by its offset', () => {
    const clock = createAdjustableClock(HOUR_MS)
    const before = Date.now()

    const aheadMs = clock.now().getTime() - before

    expect(aheadMs).toBeGreaterThanOrEqual(HOUR_MS)
    expect(aheadMs).toBeLessThan(HOUR_MS + 60_000)
    expect(clock.offsetMs).toBe(HOUR_MS)
  })

  test('wakes exactly the sleepers that are due when it is moved', async () => {
    const clock = createAdjustableClock()
    const woken: string[] = []
    void clock.sleep(60_000).then(() => woken.push('minute'))
    const stop = new AbortController()
    const longer = clock.sleep(HOUR_MS, stop.signal)

    clock.advance(61_000)
    await nextTurn()

    expect(woken).toEqual(['minute'])
    stop.abort(new Error('enough'))
    await expect(longer).rejects.toThrow('enough')
  })

  test('a sleep longer than the limit of a timer ends on time, not immediately', async () => {
    const clock = createAdjustableClock()
    let isAwake = false
    const sleeping = clock.sleep(40 * 24 * HOUR_MS).then(() => {
      isAwake = true
    })

    clock.advance(39 * 24 * HOUR_MS)
    await nextTurn()
    const wasAwake = isAwake
    clock.advance(24 * HOUR_MS)
    await sleeping

    expect(wasAwake).toBe(false)
  })

  test('a sleep whose signal was aborted before does not start', async () => {
    const clock = createAdjustableClock()

    const sleeping = clock.sleep(HOUR_MS, AbortSignal.abort(new Error('gone')))

    await expect(sleeping).rejects.toThrow('gone')
    await clock.sleep(0)
  })
})

describe('the clock of a running host', () => {
  const folder = freshFolder()
  const startedSchema = z.object({ runId: z.string(), joined: z.boolean() })
  const statusSchema = z.object({ time: z.string() })

  /** A new run: moving the clock may also have started a scheduled one. */
  async function forceRun(start: Launched) {
    for (;;) {
      const answer = await ask(start, folder, 'av-health/exports', {
        method: 'POST',
        body: '{"force":true}',
      })
      // A scheduled run is in progress, which is not forced.
      if (!('runId' in Object(answer))) {
        await pause(200)
        continue
      }
      const started = startedSchema.parse(answer)
      for (;;) {
        const run = await askRun(start, folder, started.runId)
        if (run.endedAt && !started.joined) return run
        if (run.endedAt) break
        await pause(50)
      }
    }
  }

  test('can be moved past the end of tokens and links; the offset is stored', async () => {
    const first = launch(['--fleet', '10', '--data', folder])
    void hurry(first, folder)
    await first.said('Serving')
    await advance(await first.url, folder, 2 * 3600)

    const run = await forceRun(first)
    first.child.kill('SIGINT')
    const { code } = await first.ended
    const second = launch(['--data', folder])
    await second.said('Serving')
    const { time } = statusSchema.parse(await ask(second, folder, 'status'))

    expect(code).toBe(0)
    expect(run).toMatchObject({ state: 'published', counts: { written: 10 } })
    expect(Date.parse(time) - Date.now()).toBeGreaterThan(1.9 * HOUR_MS)
    expect(second.stderr()).toContain(': unchanged in ')
    second.child.kill('SIGINT')
    await second.ended
  })
})
