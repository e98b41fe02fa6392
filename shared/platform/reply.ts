import type { HttpResponseInit } from '@azure/functions'

export interface Reply {
  status: number
  body?: unknown
  /** A body that is JSON text already. */
  json?: string
  headers?: Record<string, string>
}

export function toResponse({
  status,
  body,
  json = body === undefined ? undefined : JSON.stringify(body),
  headers = {},
}: Reply): HttpResponseInit {
  if (json === undefined) return { status, headers }
  const type = { 'content-type': 'application/json; charset=utf-8' }
  return { status, headers: { ...type, ...headers }, body: json }
}

export const notModified = { description: 'Nothing has changed since the ETag of If-None-Match.' }

/** Whether `If-None-Match` holds this ETag: weak comparison, RFC 9110 13.1.2. */
export function isKnownTag(ifNoneMatch: string | null, etag: string): boolean {
  const plain = (tag: string) => tag.trim().replace(/^W\//, '')
  return (
    ifNoneMatch?.split(',').some((tag) => tag.trim() === '*' || plain(tag) === plain(etag)) ?? false
  )
}
