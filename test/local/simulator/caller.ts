import { gunzipSync } from 'node:zlib'
import { onTestFinished } from 'vitest'
import { noFaults } from '../../../local/simulator/faults.ts'
import { createFleet } from '../../../local/simulator/fleet.ts'
import {
  type Simulator,
  type SimulatorOptions,
  startSimulator,
} from '../../../local/simulator/simulator.ts'
import { createStillClock, type StillClock } from './still-clock.ts'

/** The answer of the list of files. */
export interface Listing {
  exportFiles: string[]
  generatedTime: string | null
}

/** A simulator with a client that calls it correctly. */
export interface Caller {
  simulator: Simulator
  clock: StillClock
  /** Calls a Defender route with a token of this client. */
  ask(path: string, headers?: Record<string, string>): Promise<Response>
  token(): Promise<string>
  list(): Promise<Listing>
}

/** Starts a simulator for one test: only with the given faults, on a clock that stands still. */
export async function startCaller(options: Partial<SimulatorOptions> = {}): Promise<Caller> {
  const clock = createStillClock()
  const simulator = await startSimulator({
    clock,
    fleet: createFleet({ size: 200 }),
    ...options,
    faults: { ...noFaults, ...options.faults },
  })
  onTestFinished(() => simulator.stop())

  let known: Promise<string> | undefined
  const token = () => {
    known ??= getToken(simulator.origin)
    return known
  }
  const ask = async (path: string, headers: Record<string, string> = {}) =>
    fetch(`${simulator.origin}/defender/api/${path}`, {
      headers: { authorization: `Bearer ${await token()}`, ...headers },
    })
  const list = async () => {
    const response = await ask('machines/InfoGatheringExport?sasValidHours=1')
    if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`)
    return (await response.json()) as Listing
  }
  return { simulator, clock, ask, token, list }
}

/** Gets a token from the simulator. */
export async function getToken(origin: string, form: Record<string, string> = {}): Promise<string> {
  const response = await askToken(origin, form)
  const { access_token } = (await response.json()) as { access_token: string }
  return access_token
}

/** Requests a token with the form of client credentials, with the given changes. */
export function askToken(origin: string, form: Record<string, string> = {}): Promise<Response> {
  const usual = {
    grant_type: 'client_credentials',
    client_id: 'relay',
    client_secret: 'a secret',
    scope: 'https://api.securitycenter.microsoft.com/.default',
  }
  return fetch(`${origin}/token`, {
    method: 'POST',
    body: new URLSearchParams({ ...usual, ...form }),
  })
}

/** The lines of a downloaded file, without the blank ones. */
export async function linesOf(response: Response): Promise<string[]> {
  const bytes = Buffer.from(await response.arrayBuffer())
  const text = bytes.length > 0 ? gunzipSync(bytes).toString() : ''
  return text
    .replace(/^\ufeff/, '')
    .split(/\r?\n/)
    .filter((line) => line.trim() !== '')
}

/** The part of a link's path below the container. */
export function belowContainer(link: string): string {
  return decodeURIComponent(new URL(link).pathname.split('/').slice(3).join('/'))
}
