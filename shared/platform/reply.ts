import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import type { HttpResponseInit } from '@azure/functions'

export interface Reply {
  status: number
  body?: unknown
  /** A body that is JSON text already. */
  json?: string
  /** A body that is JSON, packed by gzip: sent as it is to a caller that takes gzip. */
  packed?: Buffer
  headers?: Record<string, string>
}

/** `accepted`: the header `Accept-Encoding` of the request. */
export async function toResponse(
  { status, body, json, packed, headers = {} }: Reply,
  accepted: string | null = null,
): Promise<HttpResponseInit> {
  const type = { 'content-type': 'application/json; charset=utf-8' }
  if (packed) {
    const isTaken = takesGzip(accepted)
    const encoding = { vary: 'accept-encoding', ...(isTaken && { 'content-encoding': 'gzip' }) }
    const sent = isTaken ? packed : await unpack(packed)
    return { status, headers: { ...type, ...encoding, ...headers }, body: sent }
  }
  if (json === undefined && body === undefined) return { status, headers }
  return { status, headers: { ...type, ...headers }, body: json ?? JSON.stringify(body) }
}

const unpack = promisify(gunzip)

export const unpackText = async (packed: Buffer) => (await unpack(packed)).toString()

/** RFC 9110 12.5.3, without `*`; a quality of zero is a refusal. */
const takesGzip = (accepted: string | null) =>
  accepted?.split(',').some((part) => /^\s*gzip\s*(?:;\s*q=(?!0(?:\.0*)?\s*$).*)?$/i.test(part)) ??
  false

export const notModified = { description: 'Nothing has changed since the ETag of If-None-Match.' }

/** Whether `If-None-Match` holds this ETag: weak comparison, RFC 9110 13.1.2. */
export function isKnownTag(ifNoneMatch: string | null, etag: string): boolean {
  const plain = (tag: string) => tag.trim().replace(/^W\//, '')
  return (
    ifNoneMatch?.split(',').some((tag) => tag.trim() === '*' || plain(tag) === plain(etag)) ?? false
  )
}
