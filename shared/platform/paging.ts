import { z } from 'zod'
import { invalidRequest } from './request.ts'

/** How many rows a list answers: 1 to 1,000. */
export const limitSchema = z
  .string()
  .regex(/^(?:[1-9]\d{0,2}|1000)$/, 'must be a whole number from 1 to 1000')
  .default('100')
  .transform(Number)
  .describe('How many to answer, 1 to 1,000.')

const NOT_OURS = 'is not a "next" of this list'

/** Where a list goes on: what the answer before gave as `next`, unchanged. A `next` of another list is refused. */
export function afterSchema<T extends z.ZodType>(list: string, position: T) {
  const place = z.tuple([z.literal(list), position])
  return z
    .string()
    .max(2000)
    .transform((cursor, context): z.output<T> => {
      const read = place.safeParse(decode(cursor))
      if (read.success) return read.data[1] as z.output<T>
      context.addIssue({ code: 'custom', message: NOT_OURS })
      return z.NEVER
    })
    .optional()
    .describe('The "next" of the page before.')
}

/** The opaque text of a position in a list; `list` is the name that the list's `afterSchema` has. */
export const toCursor = (list: string, position: unknown): string =>
  Buffer.from(JSON.stringify([list, position])).toString('base64url')

/** A position in one of many lists of a kind, for instance the files of one run: whose list, and where in it. */
export const ownedPosition = <T extends z.ZodType>(position: T) => z.tuple([z.string(), position])

const anyOwned = ownedPosition(z.unknown()).optional()

/** Where the list of an owner goes on; throws a `RequestError` for a cursor of another one's list. */
export function positionOf(owner: string, after: unknown): unknown {
  const [whose, position] = anyOwned.parse(after) ?? [owner]
  if (whose !== owner) throw invalidRequest([{ path: 'query.after', message: NOT_OURS }])
  return position
}

function decode(cursor: string): unknown {
  try {
    const text = Buffer.from(cursor, 'base64url').toString('utf8')
    const position: unknown = JSON.parse(text)
    // What no text of ours holds, no key of a table can: halves of characters and control characters, which are escaped here.
    return /\\u[\da-f]{4}/.test(JSON.stringify(position)) ? undefined : position
  } catch {
    return undefined
  }
}

/** Cuts a page out of what was found, of which one more than `limit` tells that there is a next one after the last's position. */
export function cutPage<T, P>(found: T[], limit: number, positionAt: (last: T) => P) {
  const page = found.slice(0, limit)
  const last = page.at(-1)
  return { page, next: found.length > limit && last !== undefined ? positionAt(last) : null }
}

type Query = Record<string, unknown>

/** Where to ask for what comes after a cursor, in the same words as before. */
export function pathAfter(path: string, query: Query, cursor: string): string {
  const search = new URLSearchParams({ after: cursor })
  for (const [name, value] of Object.entries(query))
    if (value !== undefined) search.set(name, String(value))
  return `${path}?${search}`
}

/** The `Link` header of a page that has a next one; none for the last page. */
export const nextLink = (
  path: string,
  query: Query,
  next: string | null,
): Record<string, string> =>
  next === null ? {} : { link: `<${pathAfter(path, query, next)}>; rel="next"` }
