import { createAdjustableClock } from '../local/clock.ts'
import { percentile } from './percentile.ts'
import { startApp, startUpstreams } from './start-app.ts'

/** Number of actions that change, and the time over which they do: a little more than two polls a minute apart. */
const ACTIONS = 120
const SPREAD_MS = 130_000

/**
 * Measures a change from Defender to a receiver, on the embedded host with default schedules and in real time:
 * detection lag (change to detection) and delivery (detection to arrival).
 */
export async function benchDelivery(): Promise<void> {
  const clock = createAdjustableClock()
  const simulator = await startUpstreams(clock)
  const { url, key, stop } = await startApp(simulator, {
    schedules: {
      MACHINE_ACTIONS_SCHEDULE: '0 * * * * *',
      INVESTIGATIONS_SCHEDULE: '0 * * * * *',
      AV_HEALTH_SCHEDULE: '0 15 */12 * * *',
    },
  })
  const post = (path: string, body: unknown) =>
    fetch(`${url}/api/${path}`, {
      method: 'POST',
      headers: { 'x-functions-key': key, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
  try {
    const receiver = simulator.receiver('bench')
    await post('changes/machine-actions/check', {})
    await post('subscriptions', { callbackUrl: receiver.url })
    console.log(
      `${ACTIONS} machine actions appear over ${SPREAD_MS / 1000} s; polls each minute; please wait …`,
    )
    for (let n = 0; n < ACTIONS; n++) {
      simulator.actions.put({ id: `bench-${n}`, status: 'Pending' })
      await clock.sleep(SPREAD_MS / ACTIONS)
    }
    for (let waits = 0; receiver.unique().length < ACTIONS && waits < 140; waits++)
      await clock.sleep(500)
    const posts = receiver.unique().map(({ body, at }) => {
      const { time, detectedat } = body as { time: string; detectedat: string }
      const detectedMs = Date.parse(detectedat)
      return { lagMs: detectedMs - Date.parse(time), deliveryMs: at.getTime() - detectedMs }
    })
    console.log(`delivered ${posts.length} of ${ACTIONS}`)
    print(
      'detection lag',
      posts.map(({ lagMs }) => lagMs),
    )
    print(
      'detection to arrival',
      posts.map(({ deliveryMs }) => deliveryMs),
    )
  } finally {
    await stop()
    await simulator.stop()
  }
}

function print(what: string, valuesMs: number[]): void {
  const at = (share: number) => (percentile(valuesMs, share) / 1000).toFixed(2)
  console.log(`${what.padEnd(22)} p50 ${at(0.5)} s   p95 ${at(0.95)} s   max ${at(1)} s`)
}
