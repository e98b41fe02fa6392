import { z } from 'zod'

/** How many rows a list answers: 1 to 1,000. */
export const limitSchema = z
  .string()
  .regex(/^(?:[1-9]\d{0,2}|1000)$/, 'must be a whole number from 1 to 1000')
  .default('100')
  .transform(Number)
  .describe('How many to answer, 1 to 1,000.')

/** Where a list goes on: what the answer before gave as `next`, unchanged. */
export function afterSchema<T extends z.ZodType>(position: T) {
  return z
    .string()
    .max(2000)
    .transform((cursor, context) => {
      const read = position.safeParse(decode(cursor))
      if (read.success) return read.data
      context.addIssue({ code: 'custom', message: 'is not a "next" of this list' })
      return z.NEVER
    })
    .optional()
    .describe('The "next" of the page before.')
}

/** The opaque text of a position in a list. */
export const toCursor = (position: unknown): string => Buffer.from(JSON.stringify(position)).toString('base64url')

function decode(cursor: string): unknown {
  try {
    return JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'))
  } catch {
    return undefined
  }
}

/** The `Link` header of a page that has a next one; none for the last page. */
export function nextLink(
  path: string,
  query: Record<string, string | number | undefined>,
  next: string | null,
): Record<string, string> {
  if (next === null) return {}
  const search = new URLSearchParams({ after: next })
  for (const [name, value] of Object.entries(query)) if (value !== undefined) search.set(name, String(value))
  return { link: `<${path}?${search}>; rel="next"` }
}
