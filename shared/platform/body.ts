import { once } from 'node:events'
import { addAbortSignal, Readable, type Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createInflate, createInflateRaw } from 'node:zlib'
import { ShapeError, UpstreamError } from './errors.ts'

/** Who sends a body, for the errors about it. */
export interface Sender {
  upstream: string
  /** Its name without query or secret, for instance `GET export file`. */
  call: string
}

/** A body that nobody has read yet, and how much of it may be read. */
export interface Incoming {
  body: Readable
  /** Lower-case names. */
  headers: Readonly<Record<string, string>>
  sender: Sender
  /** Ends the reading, also of a body that drips. */
  limit: AbortSignal
  /** How long a waiting reader may get nothing; a reader that is busy elsewhere is not counted. Default: no limit. */
  idleMs?: number
  /** The longest body that is read, unpacked. Default: no limit. */
  maxBytes?: number
}

/** How many bytes of a body have come so far, and how many they were when they were unpacked. */
export interface ByteCounts {
  packed: number
  unpacked: number
}

/** A body that unpacks to more than this may be at most so many times as long as it came. */
const FREE_BYTES = 8 * 1024 * 1024
const MAX_RATIO = 100

/**
 * Reads a whole body as text. Throws UpstreamError `timeout`, `truncated` (both retryable) or `too-large`, and
 * ShapeError for a damaged body, an unknown encoding, or one that unpacks to more than 100 times its size.
 */
export async function readText(incoming: Incoming): Promise<string> {
  return toText(await Array.fromAsync(unpack(incoming)))
}

/** Reads the start of a failed answer's body; however that fails, the status alone is still an answer. */
export async function readStart(incoming: Incoming, bytes: number): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  try {
    for await (const chunk of unpack(incoming)) {
      chunks.push(chunk.subarray(0, bytes - length))
      length += chunk.length
      if (length >= bytes) break
    }
  } catch {
    // Cut off, damaged or too slow: what came is enough.
  }
  return toText(chunks)
}

/** Without a byte order mark. */
const toText = (chunks: Buffer[]) => new TextDecoder().decode(Buffer.concat(chunks))

/** Parses the JSON of a success; undefined for 204, ShapeError for anything that is not JSON. */
export function parseJson(
  text: string,
  { status, headers }: { status: number; headers: Readonly<Record<string, string>> },
  { upstream, call }: Sender,
): unknown {
  if (status === 204) return undefined
  try {
    return JSON.parse(text)
  } catch {
    const type = /^[\w.+-]+\/[\w.+-]+/.exec(headers['content-type'] ?? '')?.[0] ?? 'no content type'
    throw new ShapeError(upstream, call, `not JSON: ${text.length} characters, ${type}`)
  }
}

/**
 * Hands a body on as it comes, unpacked or as it is on the wire, in constant memory and with the errors of `readText`;
 * destroying it closes the connection.
 */
export function passThrough(incoming: Incoming, unpacked: boolean) {
  const bytes: ByteCounts = { packed: 0, unpacked: 0 }
  const chunks = unpacked ? unpack(incoming, bytes) : receive(incoming, bytes)
  const body = new Readable({
    read() {
      chunks.next().then(
        ({ done, value }) => body.push(done ? null : value),
        (error) => body.destroy(error),
      )
    },
    destroy(error, done) {
      incoming.body.destroy()
      done(error)
    },
  })
  // An error that comes before anybody listens must not end the process; pipeline and for-await find it afterwards.
  body.on('error', () => {})
  return { body, bytes }
}

/** The first bytes of a body, left in their place; null when it has none at all. */
export async function peek(body: Readable): Promise<Buffer | null> {
  if (body.errored) throw body.errored
  if (body.readableLength === 0 && !body.readableEnded) await once(body, 'readable')
  const start: Buffer | null = body.read()
  if (start) body.unshift(start)
  return start
}

/** The bytes as they come over the wire, within the limits of time. */
async function* receive(
  { body, sender, limit, idleMs }: Incoming,
  bytes: ByteCounts,
): AsyncGenerator<Buffer> {
  addAbortSignal(limit, body)
  const state = { isWaiting: true, isIdle: false, isOver: false }
  let silentLooks = 0
  /** Four times per limit: no timer per chunk, a quarter late at most. */
  const look = (before?: number) => {
    if (state.isOver || idleMs === undefined) return
    const now = state.isWaiting ? bytes.packed : undefined
    silentLooks = now !== undefined && now === before ? silentLooks + 1 : 0
    state.isIdle = silentLooks === 4
    if (state.isIdle) return void body.destroy()
    const next = AbortSignal.timeout(Math.ceil(idleMs / 4))
    next.addEventListener('abort', () => look(now), { once: true })
  }
  look()
  try {
    for await (const chunk of body) {
      state.isWaiting = false
      bytes.packed += chunk.length
      yield chunk
      state.isWaiting = true
    }
  } catch {
    const reason = state.isIdle || limit.aborted ? 'timeout' : 'truncated'
    throw new UpstreamError({ ...sender, reason, retryable: true })
  } finally {
    state.isOver = true
  }
}

/** The bytes unpacked, within all limits. */
async function* unpack(
  incoming: Incoming,
  bytes: ByteCounts = { packed: 0, unpacked: 0 },
): AsyncGenerator<Buffer> {
  const { body, headers, sender, maxBytes = Number.POSITIVE_INFINITY } = incoming
  const wrong = (what: string) => new ShapeError(sender.upstream, sender.call, what)
  const encoding = (headers['content-encoding'] ?? '').trim().toLowerCase()
  const packed = receive(incoming, bytes)
  try {
    if (!encodings.has(encoding)) throw wrong(`a body in the encoding ${shown(encoding)}`)
    for await (const chunk of decode(packed, encoding)) {
      bytes.unpacked += chunk.length
      if (bytes.unpacked > maxBytes)
        throw new UpstreamError({ ...sender, reason: 'too-large', retryable: false })
      if (bytes.unpacked > Math.max(FREE_BYTES, MAX_RATIO * bytes.packed))
        throw wrong(`a body that unpacks to more than ${MAX_RATIO} times its size`)
      yield chunk
    }
  } catch (error) {
    if (error instanceof UpstreamError || error instanceof ShapeError) throw error
    const { code = '' } = error as NodeJS.ErrnoException
    // zlib calls the end that is missing Z_BUF_ERROR.
    if (/^Z_(?!BUF)/.test(code)) throw wrong(`a damaged body in the encoding ${encoding || 'gzip'}`)
    throw new UpstreamError({ ...sender, reason: 'truncated', retryable: true })
  } finally {
    body.destroy()
  }
}

const encodings = new Set(['', 'identity', 'gzip', 'x-gzip', 'deflate'])

/** Names of encodings are short words; anything else in their place is not repeated. */
const shown = (encoding: string) =>
  /^[a-z][\w-]{0,10}(, ?[a-z][\w-]{0,10}){0,3}$/.test(encoding) ? `"${encoding}"` : 'of no name'

async function* decode(packed: AsyncGenerator<Buffer>, encoding: string): AsyncGenerator<Buffer> {
  const start = await packed.next()
  if (start.done) return
  const decoder = decoderFor(encoding, start.value)
  async function* whole() {
    yield start.value
    yield* packed
  }
  if (!decoder) return yield* whole()
  // Its failure reaches the reader through the decoder itself.
  pipeline(whole(), decoder).catch(() => {})
  yield* decoder
}

/** The first bytes count more than the header: a proxy may have unpacked a body already, a store may not say that it is packed. */
function decoderFor(encoding: string, [first = 0, second]: Buffer): Transform | undefined {
  const options = { chunkSize: 65_536 }
  if (first === 0x1f && (second ?? 0x8b) === 0x8b) return createGunzip(options)
  if (encoding !== 'deflate') return undefined
  // Some servers send the bare format, without the header of zlib.
  return (first & 0x0f) === 8 ? createInflate(options) : createInflateRaw(options)
}
