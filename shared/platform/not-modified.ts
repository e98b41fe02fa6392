/** How a route declares its 304. */
export const notModified = { description: 'Nothing has changed since the ETag of If-None-Match.' }

/** Whether a caller has the answer with this ETag already, as `If-None-Match` says it: weak comparison, RFC 9110 13.1.2. */
export function isKnownTag(ifNoneMatch: string | null, etag: string): boolean {
  const plain = (tag: string) => tag.trim().replace(/^W\//, '')
  return (
    ifNoneMatch?.split(',').some((tag) => tag.trim() === '*' || plain(tag) === plain(etag)) ?? false
  )
}
