import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../../shared/platform/time.ts'
import type { Reply } from './reply.ts'

const largestBody = 2 ** 20

/** The whole body of a request as text; fails above 1 MiB. */
export async function readBody(request: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = []
  let size = 0
  for await (const piece of request) {
    size += piece.length
    if (size > largestBody) throw new Error('the body is too large')
    pieces.push(piece)
  }
  return Buffer.concat(pieces).toString()
}

/** Sends a reply, dated by the clock; a body that fails midway breaks the connection, as a lost server would. */
export async function send(reply: Reply, response: ServerResponse, clock: Clock): Promise<void> {
  if (reply.silent) return
  if (reply.reset) {
    response.socket?.resetAndDestroy()
    return
  }
  const { body = '', length } = reply
  const pieces = typeof body === 'string' || Buffer.isBuffer(body) ? undefined : body
  const size = pieces ? length : Buffer.byteLength(body as string | Buffer)
  response.sendDate = false
  response.writeHead(reply.status, {
    date: clock.now().toUTCString(),
    'x-ms-request-id': randomUUID(),
    ...reply.headers,
    ...(size !== undefined && { 'content-length': size }),
  })
  if (!pieces) {
    response.end(body)
    return
  }
  for await (const piece of pieces) {
    if (response.destroyed) return
    if (!response.write(piece))
      await Promise.race([once(response, 'drain'), once(response, 'close')])
  }
  response.end()
}
