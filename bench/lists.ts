import { fork } from 'node:child_process'
import { once } from 'node:events'
import {
  createServer,
  request as forward,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import { createAdjustableClock } from '../local/clock.ts'
import { noFaults } from '../local/simulator/faults.ts'
import { createFleet } from '../local/simulator/fleet.ts'
import { startSimulator } from '../local/simulator/simulator.ts'
import { type Goal, goal } from './goals.ts'
import { startApp } from './start-app.ts'

/** What is asked, and the most requests to storage and rounds of them that it may take. */
const asked = [
  { what: 'first page of devices?condition=signature-stale', requests: 4 },
  { what: 'first page of devices?name=', requests: 4 },
  { what: 'one device', requests: 10, rounds: 5 },
] as const

interface Seen {
  requests: number
  rounds: number
  entries: number
}

/**
 * Counts the requests to the table service behind answers of the app, over HTTP, after two real runs into the emulator:
 * for two sizes of the fleet, since the count must not depend on it.
 */
export async function benchLists(quick: boolean): Promise<Goal[]> {
  const sizes = quick ? [1000, 4000] : [5000, 20_000]
  const goals: Goal[] = []
  for (const size of sizes) {
    const child = fork(new URL(import.meta.url), [String(size)])
    const [seen] = (await once(child, 'message')) as [Seen[]]
    for (const [n, { what, ...most }] of asked.entries()) {
      const { requests = 0, rounds = 0, entries = 0 } = seen[n] ?? {}
      const name = `${what}, of ${size} devices (${entries} answered)`
      goals.push(goal('13', `${name}: requests to storage`, '≤', most.requests, [requests]))
      if ('rounds' in most)
        goals.push(goal('13', `${name}: rounds of them`, '≤', most.rounds, [rounds]))
    }
  }
  return goals
}

/** Milliseconds without another request after which those that wait are one round. */
const QUIET_MS = 60

/** Milliseconds without any request after which the app does nothing any more. */
const IDLE_MS = 2000
const TRIES = 3

/** A way to the table service on which requests are counted; while `isCounting`, those of one round are sent together. */
async function startCounter(target: string) {
  let lastMs = performance.now()
  const counter = {
    origin: '',
    isCounting: false,
    requests: 0,
    rounds: 0,
    async quiet() {
      while (performance.now() - lastMs < IDLE_MS)
        await new Promise((resolve) => setTimeout(resolve, 100))
    },
    stop() {
      server.closeAllConnections()
      server.close()
    },
  }
  const waiting: (() => void)[] = []
  let timer: NodeJS.Timeout | undefined
  function release() {
    counter.rounds += 1
    for (const send of waiting.splice(0)) send()
  }
  const pass = (
    { method, url, headers }: IncomingMessage,
    body: Buffer,
    response: ServerResponse,
  ) => {
    const sent = forward(new URL(url ?? '', target), { method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(response)
    })
    sent.on('error', () => response.destroy())
    sent.end(body)
  }
  const server = createServer(async (request, response) => {
    const body = Buffer.concat(await request.toArray())
    lastMs = performance.now()
    if (!counter.isCounting) return pass(request, body, response)
    counter.requests += 1
    waiting.push(() => pass(request, body, response))
    clearTimeout(timer)
    timer = setTimeout(release, QUIET_MS)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  counter.origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return counter
}

interface Answer {
  runId?: string
  state?: string
  devices?: { machineId: string; computerDnsName: string }[]
}

async function measure(size: number): Promise<Seen[]> {
  const clock = createAdjustableClock()
  const fleet = createFleet({ size, files: 4 })
  const simulator = await startSimulator({ clock, fleet, faults: noFaults })
  let counter: Awaited<ReturnType<typeof startCounter>> | undefined
  const app = await startApp(simulator, {
    async tables(emulator) {
      counter = await startCounter(emulator)
      return counter.origin
    },
  })
  const headers = { 'x-functions-key': app.key, 'content-type': 'application/json' }
  async function ask(path: string, method = 'GET') {
    const body = method === 'POST' ? '{"force":true}' : undefined
    const answer = await fetch(`${app.url}/api/${path}`, { method, headers, body })
    if (!answer.ok && answer.status !== 202) throw new Error(`${path}: ${await answer.text()}`)
    return (await answer.json()) as Answer
  }
  try {
    for (let runs = 0; runs < 2; runs++) {
      const { runId } = await ask('av-health/exports', 'POST')
      for (let state: string | undefined; state !== 'published'; ) {
        await new Promise((resolve) => setTimeout(resolve, 500))
        state = (await ask(`av-health/exports/${runId}`)).state
        if (state === 'failed') throw new Error('the run failed')
      }
    }
    const { devices: [first] = [] } = await ask('devices?condition=signature-stale')
    const paths = [
      'devices?condition=signature-stale',
      `devices?name=${encodeURIComponent(first?.computerDnsName ?? '')}`,
      `devices/${first?.machineId}`,
    ]
    const seen: Seen[] = []
    for (const path of paths) {
      const tries: Seen[] = []
      while (counter && tries.length < TRIES) {
        await counter.quiet()
        Object.assign(counter, { isCounting: true, requests: 0, rounds: 0 })
        const { devices = [] } = await ask(path)
        const { requests, rounds } = counter
        tries.push({ requests, rounds, entries: path.includes('?') ? devices.length : 1 })
        counter.isCounting = false
      }
      // A timer of the app may have made requests of its own meanwhile.
      tries.sort((a, b) => a.requests - b.requests)
      seen.push(...tries.slice(0, 1))
    }
    return seen
  } finally {
    await app.stop()
    await simulator.stop()
    counter?.stop()
  }
}

const [, , size] = process.argv
if (process.send && size) {
  process.send(await measure(Number(size)))
  process.disconnect()
}
