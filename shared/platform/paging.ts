import { createHash } from 'node:crypto'
import { z } from 'zod'
import { wrongQuery } from './request.ts'

type Query = Record<string, unknown>

/** `max` is a power of ten. */
const upTo = (max: number, bounds: string) =>
  z
    .string()
    .regex(
      new RegExp(`^(?:[1-9]\\d{0,${String(max).length - 2}}|${max})$`),
      `must be a whole number from ${bounds}`,
    )
    .default('100')
    .transform(Number)
    .describe(`How many to answer, ${bounds}.`)

export const limitSchema = upTo(1000, '1 to 1,000')

export const CSV_BOUNDS = '1 to 1,000; as CSV to 10,000'
/** The `limit` of a list that is answered as CSV too. */
export const csvLimitSchema = upTo(10_000, CSV_BOUNDS)

export const formatSchema = z
  .enum(['json', 'csv'])
  .optional()
  .describe('csv: this page as CSV; `Link` has the next one.')

export const WRONG_CURSOR = 'is not a "next" of this list'

/** Where a list continues: the `next` of the page before, unchanged. The `next` of another list is refused. */
export function afterSchema<T extends z.ZodType>(list: string, position: T) {
  const schema = z.tuple([z.literal(list), position])
  return z
    .string()
    .max(2000)
    .transform((cursor, context): z.output<T> => {
      const read = schema.safeParse(decode(cursor))
      if (read.success) return read.data[1] as z.output<T>
      context.addIssue({ code: 'custom', message: WRONG_CURSOR })
      return z.NEVER
    })
    .optional()
    .describe('The "next" of the page before.')
}

/** The opaque text of a position in a list; `list` is the same name as for `afterSchema`. */
export const toCursor = (list: string, position: unknown): string =>
  Buffer.from(JSON.stringify([list, position])).toString('base64url')

/** A question and a position in the list that answers it. */
export const askedPosition = <T extends z.ZodType>(position: T) => z.tuple([z.string(), position])

const anyAsked = askedPosition(z.unknown()).optional()

/** A short digest of what a list was asked for: the parameters of its path and its filters. */
export const questionOf = (params: Query, filters: Query): string =>
  createHash('sha256')
    .update(JSON.stringify([params, filters]))
    .digest('base64url')
    .slice(0, 8)

/** The position in the list of this question; throws a `RequestError` for a cursor of another question. */
export function positionOf(question: string, after: unknown): unknown {
  const [asked, position] = anyAsked.parse(after) ?? [question]
  if (asked !== question)
    throw wrongQuery('after', `${WRONG_CURSOR} with these filters`, 'Begin again without after.')
  return position
}

function decode(cursor: string): unknown {
  try {
    const position: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString())
    // Escaped here are half characters and control characters: our own cursors have none, and no table key can.
    return /\\u[\da-f]{4}/.test(JSON.stringify(position)) ? undefined : position
  } catch {
    return undefined
  }
}

/** Cuts `found` to a page; more than `limit` rows mean that there is a next one. */
export function cutPage<T, P>(found: T[], limit: number, positionAt: (last: T) => P) {
  const page = found.slice(0, limit)
  const last = page.at(-1)
  return { page, next: found.length > limit && last !== undefined ? positionAt(last) : null }
}

/** The path of the page after a cursor. */
export function pathAfter(path: string, query: Query, cursor: string): string {
  const search = new URLSearchParams({ after: cursor })
  for (const [name, value] of Object.entries(query))
    if (value !== undefined) search.set(name, String(value))
  return `${path}?${search}`
}

/** The `Link` header of a page; none on the last one. */
export const nextLink = (
  path: string,
  query: Query,
  next: string | null,
): Record<string, string> =>
  next === null ? {} : { link: `<${pathAfter(path, query, next)}>; rel="next"` }
