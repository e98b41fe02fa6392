import { once } from 'node:events'
import { addAbortSignal, Readable, type Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createInflate, createInflateRaw } from 'node:zlib'
import { ShapeError, UpstreamError } from './errors.ts'
import { MINUTE_MS, SECOND_MS } from './time.ts'

const MIB = 1024 ** 2

export interface Bounds {
  /** For one try with its whole body; for a stream, until its headers have come. */
  timeoutMs?: number
  /** The body, unpacked. */
  maxBytes?: number
  /** The rows of one answer, or of all pages of a list. */
  maxRows?: number
  /** The characters of all pages of a list. */
  maxListLength?: number
  maxPages?: number
}

const json = { timeoutMs: MINUTE_MS, maxBytes: 64 * MIB }
const page = { ...json, timeoutMs: 100 * SECOND_MS }

/** What one call may bring from outside: more is an error that names the call, and none of it is used. */
export const bounds = {
  defenderList: { ...page, maxRows: 200_000, maxListLength: 256 * MIB, maxPages: 1000 },
  defenderItem: { ...page, maxBytes: 4 * MIB },
  deviceAvInfo: { ...page, maxPages: 1000 },
  exportList: { ...page, maxRows: 100_000 },
  exportFile: { timeoutMs: 30 * SECOND_MS, maxBytes: 8192 * MIB },
  /** Look-ups of scans, at both upstreams. */
  scans: { ...json, maxRows: 100_000 },
  probe: { ...json, timeoutMs: 20 * SECOND_MS },
  /** A call without bounds of its own. */
  other: { ...json, timeoutMs: 30 * SECOND_MS },
  token: { timeoutMs: MINUTE_MS },
  callback: { timeoutMs: 30 * SECOND_MS, maxBytes: 64 * 1024 },
  request: { maxBytes: 256 * 1024 },
  /** All tries of the SDK together. */
  storage: { timeoutMs: 30 * SECOND_MS },
} satisfies Record<string, Bounds>

/** Above this length, a body may be at most `MAX_RATIO` times as long as its packed bytes. */
const FREE_BYTES = 8 * MIB
const MAX_RATIO = 100
/** The lists and objects of one answer: each takes far more memory than its two characters. */
export const MAX_OBJECTS = 2_000_000
/** Levels of JSON: far more than any real answer has, and far fewer than the engine can write again. */
export const MAX_DEPTH = 100

export const isTooDeep = (value: unknown, left = MAX_DEPTH): boolean =>
  typeof value === 'object' &&
  value !== null &&
  (left === 0 || Object.values(value).some((member) => isTooDeep(member, left - 1)))

/** Who sends a body, for errors; `call` is without query or secret. */
type Sender = Pick<UpstreamError['facts'], 'upstream' | 'call'>

/** An unread body with the limits of its reading. */
interface Incoming {
  body: Readable
  /** Lower-case names. */
  headers: Readonly<Record<string, string>>
  sender: Sender
  /** Ends the reading. */
  limit: AbortSignal
  /** How long a waiting reader may get no bytes; time in which nobody reads does not count. Default: no limit. */
  idleMs?: number
  /** The longest body, unpacked. Default: no limit. */
  maxBytes?: number
}

/** The bytes of a body so far, and their number after unpacking. */
export interface ByteCounts {
  packed: number
  unpacked: number
}

/**
 * Reads a whole body as text. Throws UpstreamError `timeout`, `truncated` (both retryable) or `too-large`, and
 * ShapeError for a damaged body, an unknown encoding, or one that unpacks to more than 100 times its size.
 */
export const readText = async (incoming: Incoming): Promise<string> =>
  toText(await Array.fromAsync(unpack(incoming)))

/** Reads the start of a failed answer's body; never throws: the status alone is still an answer. */
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
    // Cut off, damaged or too slow: the bytes so far are enough.
  }
  return toText(chunks)
}

/** `decode` drops a byte order mark. */
const toText = (chunks: Buffer[]) => new TextDecoder().decode(Buffer.concat(chunks))

/**
 * Parses the JSON of a success; undefined for 204, ShapeError for other text, and for more rows or objects than allowed.
 * What is nested too deeply is null: a row alone, or else the whole answer.
 */
export function parseJson(
  text: string,
  { status, headers }: { status: number; headers: Readonly<Record<string, string>> },
  { upstream, call }: Sender,
  maxRows = Number.POSITIVE_INFINITY,
): unknown {
  if (status === 204) return undefined
  const broken = (what: string) => new ShapeError(upstream, call, what)
  if (count(text, '{') + count(text, '[') > MAX_OBJECTS)
    throw broken(`an answer of more than ${MAX_OBJECTS} objects`)
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    const type = /^[\w.+-]+\/[\w.+-]+/.exec(headers['content-type'] ?? '')?.[0] ?? 'no content type'
    throw broken(`not JSON: ${text.length} characters, ${type}`)
  }
  let isDeep = false
  for (const rows of Object.values(typeof body === 'object' ? (body ?? {}) : {})) {
    if (!Array.isArray(rows)) isDeep ||= isTooDeep(rows, MAX_DEPTH - 1)
    else if (rows.length > maxRows) throw broken(`an answer of more than ${maxRows} rows`)
    else
      for (const [index, row] of rows.entries())
        if (isTooDeep(row, MAX_DEPTH - 2)) rows[index] = null
  }
  return isDeep ? null : body
}

function count(text: string, opening: string): number {
  let found = 0
  for (let at = text.indexOf(opening); at >= 0; at = text.indexOf(opening, at + 1)) found += 1
  return found
}

/** Passes a body on as it comes, with the errors of `readText`. Destroying it closes the connection. */
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
  // An error without a listener would end the process; pipeline and for-await find the error later.
  body.on('error', () => {})
  return { body, bytes }
}

/** The first bytes of a body, which stay in it; null for an empty body. */
export async function peek(body: Readable): Promise<Buffer | null> {
  if (body.errored) throw body.errored
  if (body.readableLength === 0 && !body.readableEnded) await once(body, 'readable')
  const start: Buffer | null = body.read()
  if (start) body.unshift(start)
  return start
}

/** The bytes as they come, within the time limits. */
async function* receive(
  { body, sender, limit, idleMs }: Incoming,
  bytes: ByteCounts,
): AsyncGenerator<Buffer> {
  addAbortSignal(limit, body)
  const state = { isWaiting: true, isIdle: false, isOver: false }
  let silentChecks = 0
  /** Four checks per limit: no timer per chunk, and at most a quarter too late. */
  const check = (before?: number) => {
    if (state.isOver || idleMs === undefined) return
    const now = state.isWaiting ? bytes.packed : undefined
    silentChecks = now !== undefined && now === before ? silentChecks + 1 : 0
    state.isIdle = silentChecks === 4
    if (state.isIdle) return void body.destroy()
    const next = AbortSignal.timeout(Math.ceil(idleMs / 4))
    next.addEventListener('abort', () => check(now), { once: true })
  }
  check()
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
    // Z_BUF_ERROR means that the end is missing.
    if (/^Z_(?!BUF)/.test(code)) throw wrong(`a damaged body in the encoding ${encoding || 'gzip'}`)
    throw new UpstreamError({ ...sender, reason: 'truncated', retryable: true })
  } finally {
    body.destroy()
  }
}

const encodings = new Set(['', 'identity', 'gzip', 'x-gzip', 'deflate'])

/** Names of encodings are short words; anything else is not repeated. */
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
  // The reader gets the error from the decoder.
  pipeline(whole(), decoder).catch(() => {})
  yield* decoder
}

/** The first bytes count more than the header: a proxy may have unpacked the body, a store may not name the packing. */
function decoderFor(encoding: string, [first = 0, second]: Buffer): Transform | undefined {
  const options = { chunkSize: 65_536 }
  if (first === 0x1f && (second ?? 0x8b) === 0x8b) return createGunzip(options)
  if (encoding !== 'deflate') return undefined
  // Some servers send `deflate` without the zlib header.
  return (first & 0x0f) === 8 ? createInflate(options) : createInflateRaw(options)
}
