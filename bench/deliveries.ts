import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createAdjustableClock } from '../local/clock.ts'
import { theApp } from '../shared/app.ts'
import { dispatch } from '../shared/events/delivery/dispatch.ts'
import type { Work } from './cases.ts'
import { type Goal, goal } from './goals.ts'
import { interleave, ratios } from './measure.ts'
import { percentile } from './percentile.ts'
import { startApp, startUpstreams } from './start-app.ts'

const RECEIVERS = 20
/** Events a second in all, and how many are appended at a time. */
const RATE = 50
const BATCH = 5
const SLOW_MS = 14_000
const WARM_UP_MS = 2000
const STREAM = 'machine-actions'

/** A receiver on loopback that answers 200 after a while; notes when each event arrived, and its most posts at a time. */
export async function startReceiver(delayMs: number) {
  const receiver = { url: '', arrivals: [] as { subject: string; atMs: number }[], max: 0 }
  let inFlight = 0
  const server = createServer(async (request, response) => {
    inFlight += 1
    receiver.max = Math.max(receiver.max, inFlight)
    let text = ''
    for await (const chunk of request) text += chunk
    receiver.arrivals.push({ subject: JSON.parse(text).subject, atMs: Date.now() })
    setTimeout(() => {
      inFlight -= 1
      response.writeHead(200).end()
    }, delayMs)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  receiver.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`
  return { receiver, stop: () => server.closeAllConnections() ?? server.close() }
}

/** Subscribes a receiver to events, of one machine or all. */
export const subscribe = (app: { url: string; key: string }, url: string, machineId?: string) =>
  fetch(`${app.url}/api/subscriptions`, {
    method: 'POST',
    headers: { 'x-functions-key': app.key, 'content-type': 'application/json' },
    body: JSON.stringify({ callbackUrl: url, filter: machineId && { machineIds: [machineId] } }),
  })

const machine = (n: number) => n.toString(16).padStart(40, '0')

/**
 * Appends events for twenty receivers, `times` of a second each, and answers the p99 from append to arrival. `files`: so
 * many more receivers are slow, and each gets as many events as one of the others.
 */
export const deliver: Work = async ({ origin, times: seconds, files: slow }, begin) => {
  const simulator = await startUpstreams(createAdjustableClock())
  const app = await startApp(simulator, { tables: origin })
  const receivers = await Promise.all(
    Array.from({ length: RECEIVERS + slow }, (_, n) => startReceiver(n < RECEIVERS ? 0 : SLOW_MS)),
  )
  const appendedMs = new Map<string, number>()
  const nothing = () => {}
  const { feed, events } = await theApp().events()
  const deps = events({ log: { info: nothing, warn: nothing, error: nothing }, trace: {} })
  let number = 0
  async function append(): Promise<void> {
    const head = await feed.head(STREAM)
    const steps = Array.from({ length: BATCH }, () => {
      const at = new Date().toISOString()
      const machineId = machine(number % receivers.length)
      const item = String(number++)
      const type = 'net.defender-relay.machine-action.changed'
      const common = { source: '/bench', time: at, detectedAt: at }
      return { event: { item, version: 1, type, ...common, data: { machineId } } }
    })
    const after = await feed.append(head, steps, head.state, {})
    const nowMs = Date.now()
    for (const { event } of steps) appendedMs.set(event.item, nowMs)
    await dispatch(deps, STREAM, after)
  }
  try {
    await feed.head(STREAM)
    for (const [n, { receiver }] of receivers.entries())
      await subscribe(app, receiver.url, machine(n))
    const startedMs = Date.now()
    let warmMs: number | undefined
    let first = 0
    const dueMs = (n: number) => startedMs + (n * 1000) / (RATE * (1 + slow / RECEIVERS))
    while (Date.now() < startedMs + WARM_UP_MS + seconds * 1000) {
      if (!warmMs && Date.now() > startedMs + WARM_UP_MS) {
        warmMs = Date.now()
        first = number
        begin()
      }
      await append()
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, dueMs(number) - Date.now())))
    }
    // Without the arrivals after the last one that is appended.
    const ms = Date.now() - (warmMs ?? startedMs)
    const fast = receivers.slice(0, RECEIVERS)
    const isOwn = (item: number) => item % receivers.length < RECEIVERS
    const sent = Array.from({ length: number - first }, (_, n) => first + n).filter(isOwn).length
    const seen = () =>
      fast.flatMap(({ receiver }) =>
        receiver.arrivals
          .filter(({ subject }) => Number(subject) >= first)
          .map(({ subject, atMs }) => atMs - (appendedMs.get(subject) ?? 0)),
      )
    for (let waits = 0; seen().length < sent && waits < 200; waits++)
      await new Promise((resolve) => setTimeout(resolve, 100))
    if (seen().length < sent) throw new Error(`${seen().length} of ${sent} deliveries arrived`)
    return { rows: sent, ms, p95Ms: percentile(seen(), 0.95), p99Ms: percentile(seen(), 0.99) }
  } finally {
    await app.stop()
    await simulator.stop()
    for (const { stop } of receivers) stop()
  }
}

/** Measures deliveries at a steady rate, with and without a slow receiver beside them: goal 10. */
export async function benchDeliveries(quick: boolean): Promise<Goal[]> {
  const of = (slow: number) =>
    ({ options: { what: 'deliver', rows: 0, files: slow, times: quick ? 3 : 6 } }) as const
  const { alone, together } = await interleave({ alone: of(0), together: of(1) }, quick ? 1 : 5)
  return [
    goal(
      '10',
      `p99 from append to arrival, ${RATE} deliveries a second to ${RECEIVERS} receivers, ms`,
      '≤',
      2000,
      alone.map(({ p99Ms = 0 }) => p99Ms),
    ),
    goal(
      '10',
      'deliveries a second that the machine could append for this',
      '≥',
      49,
      alone.map(({ rows, ms }) => (rows * 1000) / ms),
    ),
    goal(
      '10',
      'p99 with a slow receiver beside them / without',
      '≤',
      1.2,
      ratios(together, alone, ({ p99Ms = 0 }) => p99Ms),
    ),
  ]
}
