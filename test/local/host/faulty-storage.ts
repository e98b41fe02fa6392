import {
  createServer,
  request as forward,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'

/** A connection to the tables of an account that breaks, as when a process is killed. */
export interface FaultyStorage {
  connectionString: string
  /** Resolves when it is broken. */
  broken: Promise<void>
  /** Aborted when it is broken. */
  signal: AbortSignal
  /** Drops the next write: it does not arrive and is not answered. Resolves when that has happened. */
  holdNext(): Promise<void>
  /** Number of answered writes. */
  readonly answered: number
}

/** Passes `writes` table writes, then nothing; with `unanswered` the next write still arrives, but its answer is lost. */
export async function breakAfter(
  storage: string,
  writes: number,
  unanswered: boolean,
): Promise<FaultyStorage> {
  const [, endpoint = ''] = /TableEndpoint=([^;]+)/.exec(storage) ?? []
  const target = new URL(endpoint)
  const broken = Promise.withResolvers<void>()
  const controller = new AbortController()
  const breakOff = () => {
    controller.abort(new Error('the storage has broken off'))
    broken.resolve()
  }
  let seen = 0
  let cut = false
  let answered = 0
  let hold: (() => void) | undefined
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    const isWrite = request.method !== 'GET'
    if (isWrite && hold) {
      hold()
      hold = undefined
      return
    }
    if (isWrite && !cut && ++seen > writes) {
      cut = true
      if (!unanswered) breakOff()
      else return relay(request, response, true)
    }
    if (cut) return void request.socket.destroy()
    relay(request, response, false)
  })
  const relay = (request: IncomingMessage, response: ServerResponse, lost: boolean) => {
    const { hostname, port } = target
    const onward = forward({
      hostname,
      port,
      path: request.url,
      method: request.method,
      headers: request.headers,
    })
    onward.on('response', (answer) => {
      if (lost) {
        answer.resume()
        request.socket.destroy()
        return breakOff()
      }
      if (request.method !== 'GET') answered += 1
      response.writeHead(answer.statusCode ?? 500, answer.headers)
      answer.pipe(response)
    })
    request.pipe(onward)
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    connectionString: storage.replace(endpoint, `${origin}${target.pathname}`),
    broken: broken.promise,
    signal: controller.signal,
    holdNext: () =>
      new Promise<void>((resolve) => {
        hold = resolve
      }),
    get answered() {
      return answered
    },
  }
}
