import { Buffer } from 'node:buffer'

/** An answer before it is sent. A body in pieces without `length` goes out chunked; one that throws is cut off. */
export interface Reply {
  status: number
  headers?: Record<string, string>
  body?: string | Buffer | AsyncIterable<Buffer>
  /** Bytes to announce for a body in pieces. */
  length?: number
  /** The caller never gets an answer. */
  silent?: boolean
  /** The connection is reset instead of an answer. */
  reset?: boolean
}

/** A JSON answer. */
export function json(status: number, value: unknown, headers: Record<string, string> = {}): Reply {
  return {
    status,
    headers: { 'content-type': 'application/json; charset=utf-8', ...headers },
    body: JSON.stringify(value),
  }
}

/** Defender's error form. */
export function defenderError(
  status: number,
  code: string,
  message: string,
  target: string,
  headers?: Record<string, string>,
): Reply {
  return json(status, { error: { code, message, target } }, headers)
}

/** The blob service's error form. */
export function blobError(status: number, code: string, message: string, detail = ''): Reply {
  const body = `\ufeff<?xml version="1.0" encoding="utf-8"?><Error><Code>${code}</Code><Message>${message}</Message>${
    detail && `<AuthenticationErrorDetail>${detail}</AuthenticationErrorDetail>`
  }</Error>`
  return { status, headers: { 'content-type': 'application/xml', 'x-ms-error-code': code }, body }
}

/** What a gateway in front of a service says when it has no better idea. */
export function gatewayPage(status = 502): Reply {
  const body =
    '<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>'
  return { status, headers: { 'content-type': 'text/html' }, body }
}

/** A body that ends in the middle, as from a server that is lost. */
export async function* breaksOff(start: string): AsyncIterable<Buffer> {
  yield Buffer.from(start)
  // What was written leaves first, so that the caller sees the start of an answer.
  await new Promise((resolve) => setImmediate(resolve))
  throw new Error('cut off on purpose')
}
