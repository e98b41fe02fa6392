import { z } from 'zod'
import { RequestError } from '../../platform/errors.ts'
import type { Reply } from '../../platform/reply.ts'
import { defineRoute } from '../../platform/route.ts'
import { BRIEF_MS, type Entry, type LookupDeps } from '../lookup.ts'
import { scanSchema } from '../source.ts'
import type { DefenderSource } from '../sources/defender.ts'
import type { TenableSource } from '../sources/tenable.ts'

/** What the routes need. A source that is not configured throws a ConfigError; the other one still works. */
export interface ScanHistoryDeps extends LookupDeps {
  defender(): Promise<DefenderSource>
  tenable(): Promise<TenableSource>
}

export const scanRoute = defineRoute<ScanHistoryDeps>()

/** An id in a path or a query. It becomes part of a request to the upstream. */
export const idSchema = z
  .string()
  .regex(
    /^(?!.*\.\.)[\w-][\w.-]{0,127}$/,
    'must be 1 to 128 letters, digits, dashes, underscores or single dots',
  )

export const rawSchema = z
  .enum(['true', 'false'])
  .default('false')
  .transform((value) => value === 'true')
  .describe("Whether to add the upstream's own answer, as parsed JSON without secrets.")

/** When the answer was cached; null for a fresh one. */
export const cachedSchema = z.strictObject({ at: z.string() }).nullable()

export const scanAnswerSchema = scanSchema.extend({
  cached: cachedSchema,
  raw: z.unknown().optional(),
})

/** The body of an answer, with its tag. */
export async function toAnswer(entry: Entry, wantsRaw: boolean) {
  const full: Entry & { raw?: unknown } = wantsRaw ? await entry.withRaw() : entry
  const cached = full.cachedAt === null ? null : { at: full.cachedAt }
  const raw = wantsRaw ? full.raw : undefined
  return { body: { ...(await full.answer()), cached, raw }, tag: full.tag, final: full.final }
}

/** The 200 with one answer; what is cached is sent as it is. `canBeFinal`: false where another one may come. */
export async function okEntry(entry: Entry, wantsRaw: boolean, canBeFinal = true) {
  if (entry.packed && !wantsRaw)
    return ok({ packed: entry.packed }, entry.tag, canBeFinal && entry.final)
  const { body, tag, final } = await toAnswer(entry, wantsRaw)
  return ok({ body }, tag, canBeFinal && final)
}

const FINAL_MAX_AGE_SECONDS = 24 * 60 * 60

/** A 200 that the caller may keep. A final answer never changes for the same request. */
export function ok<Content extends Pick<Reply, 'body' | 'packed'>>(
  content: Content,
  tag: string,
  isFinal = false,
) {
  const seconds = isFinal ? FINAL_MAX_AGE_SECONDS : BRIEF_MS / 1000
  const headers = { 'cache-control': `private, max-age=${seconds}` }
  return { status: 200, ...content, tag, headers }
}

/** The 404 for an object that does not exist. */
export const notFound = (object: keyof typeof notFoundProblems): RequestError =>
  new RequestError({ status: 404, ...notFoundProblems[object] })

const notFoundProblems = {
  session: {
    problem: 'session-not-found',
    title: 'There is no such session',
    detail: 'Defender has no history of it: it never existed, or Defender has deleted it.',
    fix: 'GET /api/scan-history/defender/definitions/{id} shows the sessions of a definition. Defender does not always give their ids there.',
  },
  definition: {
    problem: 'definition-not-found',
    title: 'There is no such definition',
    detail: 'Defender does not list this definition and has no session of it.',
    fix: 'GET /api/scan-history/defender/definitions lists the definitions.',
  },
  scan: {
    problem: 'scan-not-found',
    title: 'There is no such scan',
    detail: 'Tenable has no such scan, or the user of the API keys is not allowed to see it.',
    fix: 'Use the id or the schedule_uuid of the scan.',
  },
  run: {
    problem: 'scan-or-run-not-found',
    title: 'There is no such scan or no such run of it',
    detail: 'Tenable gives the same answer for a scan that does not exist and for such a run.',
    fix: 'GET /api/scan-history/tenable/scans/{id}/runs lists the runs of a scan that exists.',
  },
} as const
