import { z } from 'zod'

/** How a run, or one target of it, stands; each source's own words are in `upstreamState`. */
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

const severities = {
  critical: z.int(),
  high: z.int(),
  medium: z.int(),
  low: z.int(),
  info: z.int(),
}
const text = z.string().nullable()
const count = z.int().nullable()

const targetSchema = z.strictObject({
  ip: text,
  hostname: text,
  description: text,
  state: z.enum(scanStates).nullable(),
  error: text,
  durationSeconds: z.number().nullable(),
  severities: z.strictObject(severities).nullable(),
})

/** Whether the answer holds all that there is; if not, why, and where the rest can be had. */
export const completenessSchema = z.strictObject({
  kind: z.enum(['complete', 'partial', 'archived', 'running', 'none']),
  reason: text,
  whereElse: text,
})

/** One run of a scan in the shape that every source is brought into; null is what the source does not say. */
export const scanSchema = z.strictObject({
  source: z.enum(['defender', 'tenable']),
  id: z.string().describe('What was asked for.'),
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
    critical: count,
    high: count,
    medium: count,
    low: count,
    info: count,
  }),
  targets: z.array(targetSchema).nullable(),
  completeness: completenessSchema,
  errorMessage: text,
})

export type Scan = z.infer<typeof scanSchema>
export type Target = z.infer<typeof targetSchema>
export type Completeness = z.infer<typeof completenessSchema>

/** What is asked for when a question has but one answer, or the newest is meant. */
export const LATEST = 'latest'

/** What a source found: the answer in our shape, what it was made from, and whether it will never change any more. */
export interface Fetched {
  answer: Record<string, unknown>
  /** Parsed JSON without secrets. */
  raw: unknown
  final: boolean
  /** The part it is kept as, where it was asked for by another name: a run by its UUID. */
  part?: string
}

/** The answer is that of another part: which run is the latest one. */
export interface Alias {
  alias: string
}

/**
 * One kind of thing that a source can be asked for. What is not in the answer does not exist upstream; that somebody may
 * not see it, or that nobody answers, is thrown.
 */
export interface Query {
  /** Answers of one kind are kept together: part of a key, and never renamed. */
  kind:
    | 'defender-session'
    | 'defender-definition'
    | 'defender-definitions'
    | 'tenable-scan'
    | 'tenable-runs'
  /** Asks for the same part (a run, a page) of several ids, in as few calls as the upstream allows. */
  fetch(ids: readonly string[], part: string): Promise<Map<string, Fetched | Alias>>
}
