import { ShapeError } from '../platform/errors.ts'

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
