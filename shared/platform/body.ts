import { addAbortSignal, Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { ShapeError, UpstreamError } from './errors.ts'
import type { RawAnswer } from './http.ts'

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

/** Who sends a body, for the errors about it. */
export interface Sender {
  upstream: string
  /** Its name without query or secret, for instance `GET export file`. */
  call: string
}

export interface RelayOptions {
  /** Turns what went wrong into an error that is safe to show; `idle` says that the source was silent for too long. */
  toError(cause: unknown, idle: boolean): Error
  /** Ends the stream when a waiting reader got nothing for this long; a reader that is busy elsewhere is not counted. */
  idleMs?: number
}

/** Passes bytes on as they come, with errors translated; ending either side ends the other. */
export function relay(
  source: Readable | Promise<Readable>,
  { toError, idleMs }: RelayOptions,
): Readable {
  let from: Readable | undefined
  let isWanted = false
  let received = 0
  const out = new Readable({
    read() {
      isWanted = true
      from?.resume()
    },
    destroy(error, done) {
      stopWatching()
      from?.destroy()
      done(error)
    },
  })
  const stopWatching = watchIdle(idleMs, {
    progress: () => (from?.isPaused() ? undefined : received),
    onIdle: () => out.destroy(toError(undefined, true)),
  })
  // An error that comes before anybody listens must not end the process; pipeline and for-await find it afterwards.
  out.on('error', () => {})

  function attach(opened: Readable): void {
    if (out.destroyed) return void opened.destroy()
    if (opened.readableEnded) return void out.push(null)
    if (opened.destroyed) return void out.destroy(toError(opened.errored, false))
    from = opened
    opened.pause()
    opened.on('data', (chunk: Buffer) => {
      received += 1
      if (!out.push(chunk)) opened.pause()
    })
    opened.on('end', () => {
      stopWatching()
      out.push(null)
    })
    opened.on('error', (cause) => out.destroy(toError(cause, false)))
    opened.on('close', () => {
      if (!opened.readableEnded) out.destroy(toError(undefined, false))
    })
    if (isWanted) opened.resume()
  }

  if (source instanceof Promise) source.then(attach, (cause) => out.destroy(toError(cause, false)))
  else attach(source)
  return out
}

/** The first chunk of a body, left in its place; null when the body has no bytes at all. */
export async function firstChunk(body: Readable): Promise<Buffer | null> {
  for (;;) {
    if (body.errored) throw body.errored
    const chunk: Buffer | null = body.read()
    if (chunk) {
      body.unshift(chunk)
      return chunk
    }
    if (body.readableEnded) return null
    if (body.destroyed) throw new Error('the body was closed before its end')
    await new Promise<void>((resolve) => {
      const events = ['readable', 'end', 'error', 'close']
      const go = () => {
        for (const event of events) body.off(event, go)
        resolve()
      }
      for (const event of events) body.on(event, go)
    })
  }
}

/**
 * Unpacks a body that begins like gzip and leaves any other as it is (a proxy may have unpacked it already); memory
 * stays constant. A body cut short fails as `truncated`, a damaged one as ShapeError.
 */
export function gunzipped(body: Readable, { upstream, call }: Sender): Readable {
  const out = relay(unpack(body), {
    toError(cause) {
      if (cause instanceof UpstreamError || cause instanceof ShapeError) return cause
      if (cause instanceof Error && 'code' in cause && cause.code === 'Z_DATA_ERROR') {
        return new ShapeError(upstream, call, 'a body that begins like gzip and is not')
      }
      return new UpstreamError({ upstream, call, retryable: true, reason: 'truncated' })
    },
  })
  return out.once('close', () => body.destroy())
}

async function unpack(body: Readable): Promise<Readable> {
  const start = await firstChunk(body)
  if (start?.[0] !== 0x1f || (start.length > 1 && start[1] !== 0x8b)) return body
  const gunzip = createGunzip({ chunkSize: 65_536 })
  // Its failure reaches the reader through the gunzip itself.
  pipeline(body, gunzip).catch(() => {})
  return gunzip
}

/** Looks four times per limit whether a reader waits and nothing came: no timer per chunk, a quarter late at most. */
function watchIdle(
  idleMs: number | undefined,
  { progress, onIdle }: { progress(): number | undefined; onIdle(): void },
): () => void {
  if (idleMs === undefined) return () => {}
  let last: number | undefined
  let silentTicks = 0
  let signal: AbortSignal
  const tick = () => {
    const seen = progress()
    silentTicks = seen !== undefined && seen === last ? silentTicks + 1 : 0
    last = seen
    if (silentTicks >= 4) onIdle()
    else arm()
  }
  const arm = () => {
    signal = AbortSignal.timeout(Math.ceil(idleMs / 4))
    signal.addEventListener('abort', tick, { once: true })
  }
  arm()
  return () => signal.removeEventListener('abort', tick)
}
