import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'

/** One prepared answer: a plain one, or a function that handles the connection. */
export type Step =
  | { status?: number; headers?: Record<string, string>; body?: string | Buffer }
  | ((response: ServerResponse, request: IncomingMessage) => unknown)

/** What arrived at the server. */
export interface Sent {
  method: string
  /** Path and query. */
  path: string
  headers: IncomingHttpHeaders
  body: string
}

export interface Script {
  url(path?: string): URL
  sent: Sent[]
}

/**
 * Serves the steps on loopback, one for each request. The test fails when a step was not used, and when a request came
 * without a step.
 */
export async function scripted(...steps: Step[]): Promise<Script> {
  const sent: Sent[] = []
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const step = steps[sent.length]
    const { method = '', url = '', headers } = request
    sent.push({ method, path: url, headers, body: Buffer.concat(chunks).toString() })
    if (!step) response.writeHead(418).end()
    else if (typeof step === 'function') step(response, request)
    else response.writeHead(step.status ?? 200, step.headers).end(step.body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
    if (sent.length !== steps.length) {
      throw new Error(
        `${steps.length} answers were prepared and ${sent.length} requests came: correct the list of steps`,
      )
    }
  })
  const { port } = server.address() as AddressInfo
  return { sent, url: (path = '/') => new URL(path, `http://127.0.0.1:${port}`) }
}

/** A step that answers with JSON. */
export const json = (value: unknown, headers: Record<string, string> = {}): Step => ({
  headers: { 'content-type': 'application/json', ...headers },
  body: JSON.stringify(value),
})
