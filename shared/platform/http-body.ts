import { addAbortSignal, type Readable } from 'node:stream'
import { ShapeError, UpstreamError } from './errors.ts'
import type { RawAnswer } from './http-call.ts'
import { gunzipped, type Sender } from './stream.ts'

/** Where a body comes from and how much of it is wanted; `limit` ends the reading, also of a body that drips. */
export interface Reading {
  sender: Sender
  maxBytes: number
  limit: AbortSignal
}

/**
 * Reads a whole body as text, unpacked where the answer says gzip. Throws UpstreamError `timeout`, `truncated` (both
 * retryable) or `too-large`, and ShapeError for a damaged gzip body.
 */
export async function readText(
  answer: RawAnswer,
  { sender, maxBytes, limit }: Reading,
): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  try {
    for await (const chunk of decoded(answer, sender, limit)) {
      length += chunk.length
      if (length > maxBytes)
        throw new UpstreamError({ ...sender, reason: 'too-large', retryable: false })
      chunks.push(chunk)
    }
  } catch (error) {
    if (limit.aborted) throw new UpstreamError({ ...sender, reason: 'timeout', retryable: true })
    if (error instanceof UpstreamError || error instanceof ShapeError) throw error
    throw new UpstreamError({ ...sender, reason: 'truncated', retryable: true })
  }
  return new TextDecoder().decode(Buffer.concat(chunks))
}

/** Reads the start of a refusal's body; however that fails, the status alone is still an answer. */
export async function readStart(
  answer: RawAnswer,
  { sender, maxBytes, limit }: Reading,
): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  try {
    for await (const chunk of decoded(answer, sender, limit)) {
      chunks.push(chunk)
      length += chunk.length
      if (length >= maxBytes) break
    }
  } catch {
    // Cut off, damaged or too slow: what came is enough.
  }
  return new TextDecoder().decode(Buffer.concat(chunks).subarray(0, maxBytes))
}

/** Parses the JSON of a success; undefined for 204, ShapeError for anything that is not JSON. */
export function parseJson(
  text: string,
  { status, headers }: Omit<RawAnswer, 'body'>,
  sender: Sender,
  repair?: (text: string) => unknown,
): unknown {
  if (status === 204) return undefined
  try {
    return JSON.parse(text)
  } catch {
    const repaired = repair?.(text)
    if (repaired !== undefined) return repaired
    const type = /^[\w.+-]+\/[\w.+-]+/.exec(headers['content-type'] ?? '')?.[0] ?? 'no content type'
    throw new ShapeError(
      sender.upstream,
      sender.call,
      `not JSON: ${text.length} characters, ${type}`,
    )
  }
}

function decoded({ headers, body }: RawAnswer, sender: Sender, limit: AbortSignal): Readable {
  addAbortSignal(limit, body)
  return headers['content-encoding'] === 'gzip' ? gunzipped(body, sender) : body
}
