import { setTimeout as sleep } from 'node:timers/promises'
import { type Goal, goal } from './goals.ts'
import type { ServerStats } from './table-server.ts'

/** What is asked, and the most requests to storage and rounds of them that it may take. */
const goals = [
  { what: 'first page of devices?condition=signature-stale', requests: 4 },
  { what: 'first page of devices?name=', requests: 4 },
  { what: 'one device', requests: 10, rounds: 5 },
] as const

/** How many requests to the table service stand behind an answer, and in how many rounds. */
export interface Asked {
  requests: number
  rounds: number
  entries: number
}

interface Answer {
  devices?: { machineId: string; computerDnsName: string }[]
}

/** Milliseconds without any request after which the work of a run is over. */
const IDLE_MS = 2500
const TRIES = 3

/** Asks for devices of the published snapshot; the table server holds requests back until no other comes. */
export async function askFleet(
  origin: string,
  ask: (path: string) => Promise<Answer>,
): Promise<Asked[]> {
  const stats = async (query = '') =>
    (await (await fetch(`${origin}/stats${query}`)).json()) as ServerStats

  async function count(path: string): Promise<Asked> {
    const before = await stats('?hold')
    const { devices } = await ask(path)
    const after = await stats()
    return {
      requests: after.requests - before.requests,
      rounds: after.rounds - before.rounds,
      entries: devices?.length ?? 1,
    }
  }

  const { devices: [first] = [] } = await ask('devices?condition=signature-stale')
  for (let last = -1, now = await stats(); now.requests !== last; now = await stats()) {
    last = now.requests
    await sleep(IDLE_MS)
  }
  const paths = [
    'devices?condition=signature-stale',
    `devices?name=${encodeURIComponent(first?.computerDnsName ?? '')}`,
    `devices/${first?.machineId}`,
  ]
  const asked: Asked[] = []
  for (const path of paths) {
    const tries: Asked[] = []
    while (tries.length < TRIES) tries.push(await count(path))
    // A timer of the app may have made requests of its own meanwhile.
    tries.sort((a, b) => a.requests - b.requests)
    asked.push(...tries.slice(0, 1))
  }
  return asked
}

/** Goal 13: the count must not depend on the size of the fleet. */
export const goalsOf = (devices: number, asked: Asked[]): Goal[] =>
  goals.flatMap(({ what, ...most }, n) => {
    const { requests = 0, rounds = 0, entries = 0 } = asked[n] ?? {}
    const name = `${what}, of ${devices} devices (${entries} answered)`
    return [
      goal('13', `${name}: requests to storage`, '≤', most.requests, [requests]),
      ...('rounds' in most
        ? [goal('13', `${name}: rounds of them`, '≤', most.rounds, [rounds])]
        : []),
    ]
  })
