import type { SimulatorOptions } from '../../../local/simulator/simulator.ts'
import { type Caller, startCaller } from './caller.ts'

/** A row or a body, or a part of one, as the tests read it. */
// biome-ignore lint/suspicious/noExplicitAny: every test reads other fields.
export type Body = any

/** An answer with its body read. */
export interface Told {
  status: number
  headers: Headers
  text: string
  /** Undefined when the body is not JSON. */
  body: Body
}

/** A client that looks up scans. */
export interface ScanCaller extends Caller {
  /** Calls Tenable with its keys. */
  tenable(path: string, headers?: Record<string, string>): Promise<Told>
  /** Calls Defender's history of scans. */
  history(action: 'Session' | 'ScanDefinition', body: unknown, query?: string): Promise<Told>
  definitions(): Promise<Told>
}

/** Starts a simulator for one test, with a client that looks up scans. */
export async function startScanCaller(
  options: Partial<SimulatorOptions> = {},
): Promise<ScanCaller> {
  const caller = await startCaller(options)
  const { origin, tenableKeys } = caller.simulator
  const keys = `accessKey=${tenableKeys.accessKey}; secretKey=${tenableKeys.secretKey}`
  return {
    ...caller,
    tenable: async (path, headers) =>
      read(
        await fetch(`${origin}/tenable/${path}`, { headers: { 'x-apikeys': keys, ...headers } }),
      ),
    async history(action, body, query = '') {
      const url = `${origin}/defender/api/DeviceAuthenticatedScanDefinitions/GetScanHistoryBy${action}Id${query}`
      const headers = {
        authorization: `Bearer ${await caller.token()}`,
        'content-type': 'application/json',
      }
      return read(await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) }))
    },
    definitions: async () => read(await caller.ask('DeviceAuthenticatedScanDefinitions')),
  }
}

async function read(response: Response): Promise<Told> {
  const text = await response.text()
  return { status: response.status, headers: response.headers, text, body: parse(text) }
}

function parse(text: string): Body {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
