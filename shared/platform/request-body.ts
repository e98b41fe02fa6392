import type { HttpRequest } from '@azure/functions'
import { RequestError } from './errors.ts'
import { invalidRequest } from './invalid-request.ts'

const MOST_BODY_BYTES = 256 * 1024

/** Reads a body as JSON, nothing at all as `{}`; throws a `RequestError` for what is too large or in other words. */
export async function readBody(request: HttpRequest): Promise<unknown> {
  const declared = Number(request.headers.get('content-length') ?? 0)
  const bytes = declared > MOST_BODY_BYTES ? undefined : Buffer.from(await request.arrayBuffer())
  if (!bytes || bytes.length > MOST_BODY_BYTES) {
    throw new RequestError({
      status: 413,
      problem: 'body-too-large',
      title: 'The body is too large',
      detail: `A body may have at most ${MOST_BODY_BYTES} bytes.`,
      remedy: 'Send less in one request.',
    })
  }
  if (bytes.length === 0) {
    // The platform hands over a chunked body as an empty one: acting on that would ignore what the caller said.
    if (/chunked/i.test(request.headers.get('transfer-encoding') ?? '')) {
      throw new RequestError({
        status: 411,
        problem: 'length-required',
        title: 'A body needs a content length',
        detail: 'The body came in chunks, without its length.',
        remedy: 'Send the body with a Content-Length header instead of chunked.',
      })
    }
    return {}
  }
  const unreadable = whyUnreadable(request.headers)
  if (unreadable) {
    throw new RequestError({
      status: 415,
      problem: 'unsupported-media-type',
      title: 'The body is not plain JSON in UTF-8',
      detail: unreadable,
      remedy: 'Send Content-Type: application/json and a JSON object in UTF-8, not compressed.',
    })
  }
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    throw invalidRequest([{ path: 'body', message: 'is not JSON' }])
  }
}

/** Why a body is not even tried. The header is not repeated: it is the caller's. */
function whyUnreadable(headers: HttpRequest['headers']): string | undefined {
  const type = headers.get('content-type') ?? 'application/json'
  if (!/^application\/(?:[\w.-]+\+)?json\s*(?:;|$)/i.test(type))
    return 'Its Content-Type is not JSON.'
  const charset = /;\s*charset\s*=\s*"?([^";\s]*)/i.exec(type)?.[1]
  if (charset !== undefined && !/^utf-?8$/i.test(charset))
    return 'Its Content-Type names a charset other than UTF-8.'
  const encoding = headers.get('content-encoding') ?? 'identity'
  return /^(?:identity)?$/i.test(encoding.trim())
    ? undefined
    : 'It has a Content-Encoding, such as gzip.'
}
