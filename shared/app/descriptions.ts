import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { findPackageJSON } from 'node:module'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { isKnownTag, notModified, type Reply } from '../platform/reply.ts'
import { defineRoute, type Route } from '../platform/route.ts'
import { singleFlight } from '../platform/single-flight.ts'

/** The description that most tools read. */
export const showOpenApi = describe({
  name: 'openapi',
  summary: 'This API as OpenAPI 3.0',
  body: z.looseObject({ openapi: z.string() }),
  place: (api) => ({ servers: [{ url: api }] }),
})

/** The description that a Logic Apps custom connector is made from. */
export const showSwagger = describe({
  name: 'swagger',
  summary: 'This API as Swagger 2.0, with the triggers of a Logic Apps connector',
  body: z.looseObject({ swagger: z.string() }),
  place(api) {
    const { host, pathname, protocol } = new URL(api)
    return { host, basePath: pathname, schemes: [protocol.slice(0, -1)] }
  },
})

interface Description {
  name: string
  summary: string
  body: z.ZodObject
  /** The members that say where the app is. */
  place(api: string): object
}

/** Answers what `npm run describe` has written to `docs/`, with the origin that the caller uses put in. */
function describe({ name, summary, body, place }: Description): Route<unknown> {
  // Read on first use: no other route depends on the file.
  const read = singleFlight(
    async () => {
      // The root is one folder further up from what is compiled than from the sources.
      const root = dirname(findPackageJSON(import.meta.url) ?? '')
      const text = await readFile(join(root, 'docs', `${name}.json`), 'utf8')
      return { text, description: body.parse(JSON.parse(text)) }
    },
    { keep: true },
  )
  return defineRoute<unknown>()({
    name,
    method: 'GET',
    path: `${name}.json`,
    auth: 'anonymous',
    summary,
    answers: { 200: { description: 'The description.', body }, 304: notModified },
    async handle({ origin, ifNoneMatch }): Promise<Reply> {
      const { text, description } = await read()
      const etag = `"${createHash('sha256').update(`${origin}\n${text}`).digest('hex')}"`
      if (isKnownTag(ifNoneMatch, etag)) return { status: 304, headers: { etag } }
      const placed = { ...description, ...place(`${origin}/api`) }
      return { status: 200, body: placed, headers: { etag } }
    },
  })
}
