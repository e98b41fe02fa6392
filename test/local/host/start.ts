import { setTimeout as sleep } from 'node:timers/promises'
import { onTestFinished } from 'vitest'
import { type Host, type HostOptions, startHost } from '../../../local/host/host.ts'
import { freshStorage } from '../../storage.ts'
import { fixtureOptions } from './fixture-options.ts'

/** A host with the fixture, its lines, and functions to call it. */
export interface TestHost extends Host {
  lines: string[]
  clock: HostOptions['clock']
  options: HostOptions
  get(path: string, init?: RequestInit): Promise<Response>
  post(path: string, body?: unknown, headers?: Record<string, string>): Promise<Response>
}

/** Starts a host that is stopped when the test ends. */
export async function startTestHost(change: Partial<HostOptions> = {}): Promise<TestHost> {
  const storage = change.storage ?? (await freshStorage())
  const lines: string[] = []
  const options: HostOptions = {
    ...fixtureOptions(storage),
    print: (line) => lines.push(line),
    ...change,
  }
  const host = await startHost(options)
  let stopping: Promise<void> | undefined
  const stop = () => {
    stopping ??= host.stop()
    return stopping
  }
  onTestFinished(stop)
  const call = (path: string, init?: RequestInit) => fetch(new URL(path, host.url), init)
  return {
    ...host,
    stop,
    lines,
    options,
    clock: options.clock,
    get: call,
    post: (path, body, headers = {}) =>
      call(path, {
        method: 'POST',
        headers,
        ...(body !== undefined && { body: JSON.stringify(body) }),
      }),
  }
}

/** Repeats a question until the answer is not undefined. */
export async function eventually<Result>(
  ask: () => Result | undefined | Promise<Result | undefined>,
): Promise<Result> {
  for (;;) {
    const answer = await ask()
    if (answer !== undefined) return answer
    await sleep(10)
  }
}

/** The status of an orchestration, after it has ended. */
export function ending(host: TestHost, id: string) {
  return eventually(async () => {
    const status = await statusOf(host, id)
    return ['Completed', 'Failed', 'Terminated'].includes(status.runtimeStatus) ? status : undefined
  })
}

/** The status of an orchestration from the durable client. */
export async function statusOf(host: TestHost, id: string) {
  const response = await host.post(`/api/client/status/${id}`)
  const text = await response.text()
  if (!response.ok) throw new Error(text)
  return JSON.parse(text) as {
    runtimeStatus: string
    output: unknown
    customStatus: unknown
    input: unknown
  }
}

/** Starts an orchestration through the real durable client. */
export async function startOrchestration(
  host: TestHost,
  name: string,
  id: string,
  input?: unknown,
): Promise<string> {
  const response = await host.post(`/api/start/${name}/${id}`, input)
  return response.text()
}
