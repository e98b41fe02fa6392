import { z } from 'zod'
import { RequestError } from '../../platform/errors.ts'
import { defineRoute } from '../../platform/route.ts'
import { BRIEF_MS, type Entry, type LookupDeps } from '../lookup.ts'
import { scanSchema } from '../source.ts'
import type { DefenderSource } from '../sources/defender.ts'
import type { TenableSource } from '../sources/tenable.ts'

/** What the routes of this domain work with. A source that is not set up throws a ConfigError and stops no other. */
export interface ScanHistoryDeps extends LookupDeps {
  defender(): Promise<DefenderSource>
  tenable(): Promise<TenableSource>
}

/** Declares a route of this domain. */
export const scanRoute = defineRoute<ScanHistoryDeps>()

/** An id in a path or a query: it goes into a request to the upstream. */
export const idSchema = z
  .string()
  .regex(
    /^(?!.*\.\.)[\w-][\w.-]{0,127}$/,
    'must be 1 to 128 letters, digits, dashes, underscores or single dots',
  )

/** Whether the upstream's own answer comes along. */
export const rawSchema = z
  .enum(['true', 'false'])
  .default('false')
  .transform((value) => value === 'true')
  .describe("Whether the upstream's own answer comes along, parsed and without secrets.")

/** When an answer was kept that comes out of the cache; null for a fresh one. */
export const cachedSchema = z.strictObject({ at: z.string() }).nullable()

/** A scan as answers show it. */
export const scanAnswerSchema = scanSchema.extend({
  cached: cachedSchema,
  raw: z.unknown().optional(),
})

/** The members that an entry adds to an answer, and its tag with them. */
export async function open(entry: Entry, wantsRaw: boolean) {
  const opened = wantsRaw ? await entry.withRaw() : entry
  const cached = opened.cachedAt === null ? null : { at: opened.cachedAt }
  const raw = 'raw' in opened && wantsRaw ? { raw: opened.raw } : {}
  return { body: { ...opened.answer, cached, ...raw }, tag: opened.tag, final: opened.final }
}

const FINAL_MAX_AGE_SECONDS = 24 * 60 * 60

/** How long a caller may keep an answer; a final one is that to a question which will never have another one. */
export const keepFor = (isFinal: boolean) => ({
  'cache-control': `private, max-age=${isFinal ? FINAL_MAX_AGE_SECONDS : BRIEF_MS / 1000}`,
})

/** The 404 that says what was not found. */
export const notFound = (problem: NotFound): RequestError =>
  new RequestError({ status: 404, ...refusals[problem] })

type NotFound = keyof typeof refusals

const refusals = {
  session: {
    problem: 'session-not-found',
    title: 'There is no such session',
    detail: 'Defender answers no history for it: it never was, or it is no longer kept.',
    fix: 'GET /api/scan-history/defender/definitions/{id} shows the sessions of a definition; Defender does not always name their ids there.',
  },
  definition: {
    problem: 'definition-not-found',
    title: 'There is no such definition',
    detail: 'Defender neither lists this definition nor answers any session of it.',
    fix: 'GET /api/scan-history/defender/definitions lists the definitions.',
  },
  scan: {
    problem: 'scan-not-found',
    title: 'There is no such scan',
    detail: 'Tenable answers that it has no such scan, or none that the user of the keys can see.',
    fix: 'Use the id or the schedule_uuid of the scan.',
  },
  run: {
    problem: 'scan-or-run-not-found',
    title: 'There is no such scan or no such run of it',
    detail:
      'Tenable answers with the same words when the scan is not there and when the run is not.',
    fix: 'GET /api/scan-history/tenable/scans/{id}/runs lists the runs of a scan that is there.',
  },
} as const
