import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { findPackageJSON } from 'node:module'
import { dirname, extname, join } from 'node:path'
import type { HttpRequest, HttpResponseInit } from '@azure/functions'
import { isKnownTag } from '../platform/reply.ts'
import { singleFlight } from '../platform/single-flight.ts'

const types: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
}

/** Nothing inline, nothing from another origin, no frame around the page. */
const policy = [
  "default-src 'none'",
  ...['script', 'style', 'img', 'connect', 'font'].map((kind) => `${kind}-src 'self'`),
  ...['base-uri', 'form-action', 'frame-ancestors'].map((rule) => `${rule} 'none'`),
].join('; ')

const safe = {
  'content-security-policy': policy,
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
}

const PAGE = 'index.html'
/** In the order in which they are preferred. */
const encodings = [
  ['br', '.br'],
  ['gzip', '.gz'],
] as const

interface PortalFile {
  headers: Record<string, string>
  etag: string
  plain: Buffer
  /** By encoding, made by the build. */
  packed: Map<string, Buffer>
}

/** Read once into memory: no request names a file of the disk. */
const read = singleFlight(
  async (): Promise<Map<string, PortalFile>> => {
    const folder = join(dirname(findPackageJSON(import.meta.url) ?? ''), 'dist', 'portal')
    const names = await readdir(folder).catch(() => [])
    const contents = new Map(
      await Promise.all(
        names.map(async (name) => [name, await readFile(join(folder, name))] as const),
      ),
    )
    return new Map([...contents].flatMap(([name, plain]) => toFile(name, plain, contents)))
  },
  { keep: true },
)

function toFile(
  name: string,
  plain: Buffer,
  contents: Map<string, Buffer>,
): [string, PortalFile][] {
  const type = types[extname(name)]
  if (!type) return []
  const packed = encodings.flatMap(([encoding, suffix]) => {
    const bytes = contents.get(name + suffix)
    return bytes ? [[encoding, bytes] as const] : []
  })
  // The build puts a hash of the content into every other name.
  const cache = name === PAGE ? 'no-cache' : 'public, max-age=31536000, immutable'
  const headers = { ...safe, 'content-type': type, 'cache-control': cache, vary: 'accept-encoding' }
  const etag = `W/"${createHash('sha256').update(plain).digest('base64url')}"`
  return [[name, { headers, etag, plain, packed: new Map(packed) }]]
}

/**
 * Answers the files of the page, which holds no data: its calls to the API need a key. With `HEAD`, the host drops the
 * body.
 */
export async function answerPortal(request: HttpRequest): Promise<HttpResponseInit> {
  const files = await read()
  const file = files.get(request.params.path || PAGE)
  if (!file) {
    const body = files.size > 0 ? 'There is no such file.' : 'The page is not in this package.'
    return {
      status: 404,
      headers: { ...safe, 'content-type': 'text/plain', 'cache-control': 'no-store' },
      body,
    }
  }
  const headers = { ...file.headers, etag: file.etag }
  if (isKnownTag(request.headers.get('if-none-match'), file.etag)) return { status: 304, headers }
  const accepted = acceptedBy(request.headers.get('accept-encoding') ?? '')
  for (const [encoding] of encodings) {
    const body = accepted.has(encoding) ? file.packed.get(encoding) : undefined
    if (body) return { status: 200, headers: { ...headers, 'content-encoding': encoding }, body }
  }
  return { status: 200, headers, body: file.plain }
}

/** The encodings that `Accept-Encoding` names and does not refuse with `q=0`. */
function acceptedBy(header: string): Set<string> {
  const named = header.split(',').map((part) =>
    part
      .trim()
      .toLowerCase()
      .split(/\s*;\s*/),
  )
  return new Set(
    named.flatMap(([name = '', quality = '']) => (/^q=0(?:\.0*)?$/.test(quality) ? [] : [name])),
  )
}
