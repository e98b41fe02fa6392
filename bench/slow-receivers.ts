import { createAdjustableClock } from '../local/clock.ts'
import { startReceiver } from './deliveries.ts'
import { percentile } from './percentile.ts'
import { startApp, startUpstreams } from './start-app.ts'

const SLOW = 12
const SLOW_MS = 14_000
/** Rounds with and without events for the slow receivers, alternately, and the events of a round. */
const ROUNDS = 10
const EVENTS = 8
const ROUND_MS = 20_000

/** Measures on the embedded host how much twelve slow receivers delay a fast one, in alternate rounds of one run. */
export async function benchSlowReceivers(): Promise<void> {
  const simulator = await startUpstreams(createAdjustableClock())
  const app = await startApp(simulator)
  const post = (path: string, body: unknown) =>
    fetch(`${app.url}/api/${path}`, {
      method: 'POST',
      headers: { 'x-functions-key': app.key, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
  const fast = await startReceiver(0)
  const slow = await Promise.all(Array.from({ length: SLOW }, () => startReceiver(SLOW_MS)))
  try {
    await post('changes/machine-actions/check', {})
    await post('subscriptions', { callbackUrl: fast.receiver.url })
    for (const { receiver } of slow)
      await post('subscriptions', {
        callbackUrl: receiver.url,
        filter: { machineIds: ['b'.repeat(40)] },
      })
    const times: Record<'alone' | 'together', number[]> = { alone: [], together: [] }
    for (let round = 0; round < ROUNDS; round++) {
      const kind = round % 2 === 0 ? 'alone' : 'together'
      const machineId = (kind === 'alone' ? 'a' : 'b').repeat(40)
      for (let n = 0; n < EVENTS; n++)
        simulator.actions.put({ id: `${round}-${n}`, status: 'Pending', machineId })
      await post('changes/machine-actions/check', {})
      const sentMs = Date.now()
      await app.clock.sleep(ROUND_MS)
      for (const { subject, atMs } of fast.receiver.arrivals)
        if (subject.startsWith(`${round}-`)) times[kind].push(atMs - sentMs)
    }
    const [alone, together] = [percentile(times.alone, 0.5), percentile(times.together, 0.5)]
    console.log(`fast receiver, median: alone ${alone} ms, with ${SLOW} slow ones ${together} ms`)
    console.log(`ratio ${(together / alone).toFixed(2)}`)
    const max = Math.max(...[fast, ...slow].map(({ receiver }) => receiver.max))
    console.log(`most posts of one subscription at a time: ${max}`)
  } finally {
    await app.stop()
    await simulator.stop()
    for (const { stop } of [fast, ...slow]) stop()
  }
}
