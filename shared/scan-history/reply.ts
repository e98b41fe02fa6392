import { z } from 'zod'
import { isKnownTag } from '../platform/not-modified.ts'
import type { Reply } from '../platform/route.ts'
import { BRIEF_MS, type Entry } from './lookup.ts'
import { scanSchema } from './source.ts'

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

const FINAL_MAX_AGE_SECONDS = 24 * 60 * 60

/** The members that an entry adds to an answer, and its tag with them. */
export async function open(entry: Entry, wantsRaw: boolean) {
  const opened = wantsRaw ? await entry.withRaw() : entry
  const cached = opened.cachedAt === null ? null : { at: opened.cachedAt }
  const raw = 'raw' in opened && wantsRaw ? { raw: opened.raw } : {}
  return { body: { ...opened.answer, cached, ...raw }, tag: opened.tag, final: opened.final }
}

interface Asked {
  ifNoneMatch: string | null
  /** What beside the content makes the answer another one, for instance `raw`. */
  variant?: string
  /** Beside ETag and Cache-Control, or in their place. */
  headers?: Record<string, string>
}

/**
 * A 200 with ETag and Cache-Control, or a 304. The tag is a weak one: the same content is the same answer, whether it came
 * out of the cache or not. `fixed` answers are those to a question that will never have another one.
 */
export function reply(
  body: unknown,
  tag: string,
  fixed: boolean,
  { ifNoneMatch, variant, headers: more }: Asked,
): Reply {
  const etag = `W/"${tag}${variant ? `-${variant}` : ''}"`
  const maxAge = fixed ? FINAL_MAX_AGE_SECONDS : BRIEF_MS / 1000
  const headers = { etag, 'cache-control': `private, max-age=${maxAge}`, ...more }
  return isKnownTag(ifNoneMatch, etag) ? { status: 304, headers } : { status: 200, body, headers }
}
