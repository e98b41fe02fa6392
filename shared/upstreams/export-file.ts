import type { Readable } from 'node:stream'
import { type Bounds, type ByteCounts, bounds, peek } from '../platform/body.ts'
import { ShapeError, UpstreamError } from '../platform/errors.ts'
import type { Http } from '../platform/http.ts'

/** `not-ready` may be tried later, `expired` needs a new link. The body of `open` is unpacked. */
export type OpenedFile =
  | { kind: 'open'; body: Readable; bytes: ByteCounts }
  | { kind: 'empty' | 'not-ready' | 'expired' | 'gone' }

const CALL = 'GET export file'

/** Allows https links, on the default port, to hosts that end in `suffix`. */
export function httpsHostsUnder(suffix: string): (url: URL) => boolean {
  return (url) => url.protocol === 'https:' && url.port === '' && url.hostname.endsWith(suffix)
}

/**
 * Makes the reader of export files. `isAllowedLink` says whether to follow a link: links come from outside.
 * https://learn.microsoft.com/rest/api/storageservices/get-blob
 */
export function createExportFiles({
  http,
  isAllowedLink,
  limits = bounds.exportFile,
}: {
  http: Http
  isAllowedLink(url: URL): boolean
  limits?: Bounds
}) {
  return {
    /** Opens one link, without our token; throws like `Http.stream` for any failure that `OpenedFile` does not name. */
    async open(link: string): Promise<OpenedFile> {
      const url = URL.parse(link)
      if (!url || !isAllowedLink(url))
        throw new UpstreamError({
          upstream: 'export-files',
          call: CALL,
          reason: 'forbidden-host',
          retryable: false,
          said: url?.origin.slice(0, 200) ?? 'no address',
        })
      try {
        const { body, bytes, headers } = await http.stream({
          method: 'GET',
          url,
          name: CALL,
          unpack: true,
          ...limits,
          isAllowed: isAllowedLink,
        })
        await peek(body)
        if (bytes.packed > 0) return { kind: 'open', body, bytes }
        // Links are listed before the copy of their blob ends; until then the blob is empty.
        return { kind: headers['x-ms-copy-status'] === 'success' ? 'empty' : 'not-ready' }
      } catch (error) {
        const { status, code } = error instanceof UpstreamError ? error.facts : {}
        // A new link does not help against other 403s, for instance a firewall's.
        if (status === 403 && code === 'AuthenticationFailed') return { kind: 'expired' }
        if (status === 404) return { kind: 'gone' }
        throw error
      }
    },
  }
}

/**
 * Reads a link, which is a secret, without opening it; throws ShapeError when it is no link to a blob. `blobPath`, the
 * blob's decoded name in its container, identifies the file in every listing of one export. `expiresAt` is the earlier
 * end of the signature (`se`) and of its key (`ske`), null when the link has neither.
 */
export function parseLink(text: string) {
  const url = URL.parse(text)
  const segments = url?.pathname.split('/').slice(1) ?? []
  // The container is the first segment; a store that is not Azure's may have a path before it.
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

/** One listing may have `OrgId=1` and another `OrgId%3D1`. */
function decode(path: string): string {
  try {
    return decodeURIComponent(path)
  } catch {
    // A single `%`: the path was not encoded.
    return path
  }
}

/** Azure writes `2026-01-31`, `2026-01-31T10:00Z` or `2026-01-31T10:00:00Z`, always UTC. */
function endMs(text: string | null): number {
  if (!text || text.length > 40) return Number.NaN
  return Date.parse(text.includes('T') && !text.endsWith('Z') ? `${text}Z` : text)
}
