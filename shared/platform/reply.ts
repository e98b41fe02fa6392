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
  /** A body of CSV, instead of JSON. */
  csv?: string
  headers?: Record<string, string>
}

/** `accepted`: the header `Accept-Encoding` of the request. */
export async function toResponse(
  { status, body, json, packed, csv, headers = {} }: Reply,
  accepted: string | null = null,
): Promise<HttpResponseInit> {
  const form = csv === undefined ? 'application/json' : 'text/csv'
  const type = { 'content-type': `${form}; charset=utf-8` }
  if (packed) {
    const isTaken = takesGzip(accepted)
    const encoding = { vary: 'accept-encoding', ...(isTaken && { 'content-encoding': 'gzip' }) }
    const sent = isTaken ? packed : await unpack(packed)
    return { status, headers: { ...type, ...encoding, ...headers }, body: sent }
  }
  if (csv !== undefined) return { status, headers: { ...type, ...headers }, body: csv }
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

/** What a spreadsheet may take for a formula, also behind spaces or marks that show nothing; and our own mark. */
const FORMULA = /^[\s\p{Cf}]*[=+\-@＝＋－＠']/u

/**
 * A cell of CSV (RFC 4180). Text is in quotes, so that no separator of any country splits it. A text that a spreadsheet
 * could run gets an apostrophe in front, and so does one that begins with an apostrophe.
 */
function toCell(value: unknown): string {
  if (value === null || value === undefined) return ''
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  return `"${FORMULA.test(text) ? "'" : ''}${text.replaceAll('"', '""')}"`
}

/** The value at a path such as `isolation.state`; a list of texts is one text. */
function valueAt(row: unknown, path: string): unknown {
  let at = row
  for (const name of path.split('.')) at = (at as Record<string, unknown> | null)?.[name]
  return Array.isArray(at) && at.every((one) => typeof one === 'string') ? at.join(' ') : at
}

/** Rows as CSV with a header line; each column is a path into a row. */
export const toCsv = (columns: readonly string[], rows: readonly unknown[]): string =>
  [columns, ...rows.map((row) => columns.map((path) => valueAt(row, path)))]
    .map((cells) => `${cells.map(toCell).join(',')}\r\n`)
    .join('')
