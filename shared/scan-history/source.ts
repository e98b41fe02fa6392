import { z } from 'zod'

/** The state of a run or of one target. `upstreamState` holds the source's own word for it. */
export const scanStates = [
  'completed',
  'partial',
  'failed',
  'canceled',
  'imported',
  'running',
  'paused',
  'pending',
  'never-run',
  'unknown',
] as const
export type ScanState = (typeof scanStates)[number]

const overStates = new Set<ScanState>(['completed', 'partial', 'failed', 'canceled', 'imported'])

/** Whether a run is over: nothing about it changes any more. */
export const isOver = (state: ScanState): boolean => overStates.has(state)

/**
 * The targets that a source lists; null unless the run is over. A run in an unknown state may be over: only its empty list
 * says nothing.
 */
export const listedOf = <T>(state: ScanState, rows: T[] | null): T[] | null =>
  isOver(state) || (state === 'unknown' && rows && rows.length > 0) ? rows : null

/** How severe a finding is, worst first. */
export const severityNames = ['critical', 'high', 'medium', 'low', 'info'] as const

const text = z.string().nullable()
const count = z.int().nullable()

const targetSchema = z.strictObject({
  ip: text,
  hostname: text,
  description: text,
  state: z.enum(scanStates).nullable(),
  error: text,
  durationSeconds: z.number().nullable(),
  severities: z.strictObject(bySeverity(count)).nullable(),
})

/** Whether the answer holds everything; if not, why, and where the rest can be found. */
export const completenessSchema = z.strictObject({
  kind: z.enum(['complete', 'partial', 'archived', 'running', 'none']),
  reason: text,
  whereElse: text,
})

/**
 * One run of a scan, in one shape for all sources. A field that the source does not tell is null, and so is a count of
 * which the source shows a part only.
 */
export const scanSchema = z.strictObject({
  source: z.enum(['defender', 'tenable']),
  id: z.string().describe('The id that was requested.'),
  run: z.strictObject({ id: text, number: z.int().nullable() }).nullable(),
  definitionId: text,
  scannerId: text,
  orgId: text,
  name: text,
  state: z.enum(scanStates),
  upstreamState: text,
  startedAt: text,
  endedAt: text,
  lastScannedAt: text,
  counts: z.strictObject({
    targets: count,
    succeeded: count,
    failed: count,
    ...bySeverity(count),
  }),
  targets: z.array(targetSchema).nullable(),
  completeness: completenessSchema,
  errorMessage: text,
})

function bySeverity<T>(value: T) {
  return { critical: value, high: value, medium: value, low: value, info: value }
}

export type Scan = z.infer<typeof scanSchema>
export type Target = z.infer<typeof targetSchema>
export type Completeness = z.infer<typeof completenessSchema>

/** A scan of which only the given fields are known. */
export const toScan = (source: Scan['source'], id: string, known: Partial<Scan>): Scan => ({
  source,
  id,
  run: null,
  definitionId: null,
  scannerId: null,
  orgId: null,
  name: null,
  state: 'unknown',
  upstreamState: null,
  startedAt: null,
  endedAt: null,
  lastScannedAt: null,
  counts: { targets: null, succeeded: null, failed: null, ...bySeverity(null) },
  targets: null,
  completeness: { kind: 'none', reason: null, whereElse: null },
  errorMessage: null,
  ...known,
})

/** The part of a query that has only one answer, or whose newest answer is wanted. */
export const LATEST = 'latest'

/** The position in a list that a part `<limit>-<offset>` names. */
export function pageOf(part: string): { limit: number; offset: number } {
  const [limit = 0, offset = 0] = part.split('-').map(Number)
  return { limit, offset }
}

/** What a source answered. */
export interface Fetched {
  /** In our shape. */
  answer: Record<string, unknown>
  /** The upstream's answer as parsed JSON, without secrets. */
  raw: unknown
  /** Whether the answer never changes any more. */
  final: boolean
  /** The part to cache it as, if that is not the one in the request: a run by its UUID. */
  part?: string
}

/** The answer is that of another part: for `latest`, the UUID of the newest run. */
export interface Alias {
  alias: string
}

/**
 * One kind of object that a source can be asked for. An id without an answer does not exist upstream. When the caller
 * has no permission, or the upstream does not answer, `fetch` throws.
 */
export interface Query {
  /** Part of the cache key of every answer: never renamed. */
  kind:
    | 'defender-session'
    | 'defender-definition'
    | 'defender-definitions'
    | 'tenable-scan'
    | 'tenable-runs'
  /** Fetches the same part (a run, a page) of several ids, in as few calls as the upstream allows. */
  fetch(ids: readonly string[], part: string): Promise<Map<string, Fetched | Alias>>
}

/** The text of a field; null for an empty text and for other types. A number is read as an id. */
export function textOf(value: unknown): string | null {
  if (typeof value === 'number' && Number.isFinite(value)) return String(value)
  return typeof value === 'string' && value.trim() !== '' ? value : null
}

/** The whole number of a field, also if it is sent as text; null for anything else. */
export function countOf(value: unknown): number | null {
  const number =
    typeof value === 'string' && /^\d{1,15}$/.test(value.trim()) ? Number(value) : value
  return typeof number === 'number' && Number.isSafeInteger(number) ? number : null
}

/** A flag, also if it is sent as text or as 0 or 1; null for anything else. */
export function flagOf(value: unknown): boolean | null {
  const text = String(value).toLowerCase()
  return text === 'true' || text === '1' ? true : text === 'false' || text === '0' ? false : null
}

/** A time in epoch seconds as RFC 3339; null for 0, which means never. */
export function epochTimeOf(value: unknown): string | null {
  const seconds = countOf(value)
  // The last second that RFC 3339 can write.
  return seconds === null || seconds <= 0 || seconds > 253_402_300_799
    ? null
    : new Date(seconds * 1000).toISOString()
}

/** The fields of an object; no fields for any other value. */
export const fieldsOf = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {}

/** The objects of a list; null for any other value. */
export const rowsOf = (value: unknown): Record<string, unknown>[] | null =>
  Array.isArray(value) ? value.map(fieldsOf) : null
