import type { Readable } from 'node:stream'
import { type ByteCounts, peek } from '../platform/body.ts'
import { ShapeError, UpstreamError } from '../platform/errors.ts'
import type { Http } from '../platform/http.ts'

/** What opening a link gave. Only `open` has a body, unpacked; `not-ready` may be tried again later, `expired` needs a new link. */
export type OpenedFile =
  | { kind: 'open'; body: Readable; bytes: ByteCounts }
  | { kind: 'empty' | 'not-ready' | 'expired' | 'gone' }

export interface ExportFilesOptions {
  http: Http
  /** Which links may be followed: they come from outside. */
  isAllowedLink(url: URL): boolean
}

/** The store that the links of an export lead to. */
export interface ExportFiles {
  /** Opens one link, without our token; throws like `Http.stream` for what the five answers do not cover. */
  open(link: string): Promise<OpenedFile>
}

const CALL = 'GET export file'
/** Several times the file of the largest tenant that we know of. */
const MAX_BYTES = 8 * 1024 ** 3

/** Allows https links to hosts that end in `suffix` (which begins with a dot), on the usual port. */
export function httpsHostsUnder(suffix: string): (url: URL) => boolean {
  return (url) => url.protocol === 'https:' && url.port === '' && url.hostname.endsWith(suffix)
}

/** Makes the reader of export files. https://learn.microsoft.com/rest/api/storageservices/get-blob */
export function createExportFiles({ http, isAllowedLink }: ExportFilesOptions): ExportFiles {
  return {
    async open(link) {
      const url = URL.parse(link)
      if (!url)
        throw new UpstreamError({
          upstream: 'export-files',
          call: CALL,
          reason: 'forbidden-host',
          retryable: false,
        })
      try {
        const { body, bytes, headers } = await http.stream({
          method: 'GET',
          url,
          name: CALL,
          unpack: true,
          maxBytes: MAX_BYTES,
          isAllowed: isAllowedLink,
        })
        await peek(body)
        if (bytes.packed > 0) return { kind: 'open', body, bytes }
        // The links are listed before the copy behind them has ended; until then a blob has no bytes.
        return { kind: headers['x-ms-copy-status'] === 'success' ? 'empty' : 'not-ready' }
      } catch (error) {
        const { status, code } = error instanceof UpstreamError ? error.facts : {}
        // Other refusals with 403 (a firewall's, for instance) would not end with a new link.
        if (status === 403 && code === 'AuthenticationFailed') return { kind: 'expired' }
        if (status === 404) return { kind: 'gone' }
        throw error
      }
    },
  }
}

/** What a link to an export file says: which file it is, and until when it opens. The link itself is a secret. */
export interface ExportLink {
  /** The blob's name below its container, decoded: the file's identity, the same in every listing of one export. */
  blobPath: string
  /** The earlier end of the signature (`se`) and of the key behind it (`ske`); null when the link names neither. */
  expiresAt: Date | null
}

/** Reads a link without opening it; throws ShapeError for a text that is no link to a blob. */
export function parseLink(text: string): ExportLink {
  const url = URL.parse(text)
  const segments = url?.pathname.split('/').slice(1) ?? []
  // The container is the first segment, but a store that is not Azure's may have its own path before it.
  const container = Math.max(
    0,
    segments.findIndex((segment) => segment.startsWith('temp-')),
  )
  const blobPath = decode(segments.slice(container + 1).join('/'))
  if (!url || !segments[container] || !blobPath) {
    throw new ShapeError(
      'defender',
      'GET /api/machines/InfoGatheringExport',
      'a listed file is not a link to a blob',
    )
  }
  const ends = ['se', 'ske']
    .map((name) => endMs(url.searchParams.get(name)))
    .filter((ms) => !Number.isNaN(ms))
  return { blobPath, expiresAt: ends.length > 0 ? new Date(Math.min(...ends)) : null }
}

/** One listing may write `OrgId=1` where another writes `OrgId%3D1`. */
function decode(path: string): string {
  try {
    return decodeURIComponent(path)
  } catch {
    // A stray `%`: then the path was not encoded.
    return path
  }
}

/** Azure writes `2026-01-31`, `2026-01-31T10:00Z` or `2026-01-31T10:00:00Z`, always UTC. */
function endMs(text: string | null): number {
  if (!text) return Number.NaN
  return Date.parse(/T.*[^Z]$/.test(text) ? `${text}Z` : text)
}
