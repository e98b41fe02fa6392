import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { findPackageJSON } from 'node:module'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { cloudEventSchema } from '../events/event.ts'
import { kindOf, kindsOf } from '../events/filter.ts'
import { isKnownTag, notModified } from '../platform/reply.ts'
import { defineRoute, type Route } from '../platform/route.ts'
import { singleFlight } from '../platform/single-flight.ts'
import { eventTypes } from './sections/events.ts'

export const showOpenApi = describe({
  name: 'openapi',
  summary: 'This API as OpenAPI 3.0',
  body: z.looseObject({ openapi: z.string() }),
  locate: (api) => ({ servers: [{ url: api }] }),
})

/** The description that a Logic Apps custom connector is made from. */
export const showSwagger = describe({
  name: 'swagger',
  summary: 'This API as Swagger 2.0, with the triggers of a Logic Apps connector',
  body: z.looseObject({ swagger: z.string() }),
  locate(api) {
    const { host, pathname, protocol } = new URL(api)
    return { host, basePath: pathname, schemes: [protocol.slice(0, -1)] }
  },
})

/** The shape of an event in a description. */
const eventSchema = z.looseObject({
  properties: z.looseObject({ type: z.looseObject({ enum: z.array(z.string()) }) }),
})

/** What the designer of Logic Apps shows of an event, once a maker has chosen its kind. */
export const showEventSchema = defineRoute<unknown>()({
  name: 'show-event-schema',
  method: 'GET',
  path: 'event-types/{kind}',
  summary: 'The JSON Schema of the events of one kind',
  params: z.strictObject({ kind: z.enum(kindsOf(eventTypes)) }),
  answers: {
    200: {
      description: 'The schema.',
      body: z.strictObject({
        kind: z.string(),
        schema: z.record(z.string(), z.unknown()),
      }),
    },
  },
  async handle({ params: { kind } }) {
    const { definitions } = JSON.parse(await readDescription('swagger'))
    const schema = Object.values(definitions)
      .flatMap((one) => eventSchema.safeParse(one).data ?? [])
      .find(({ properties: { type } }) => type.enum.every((one) => kindOf(one) === kind))
    return { status: 200, body: { kind, schema: schema ?? {} } }
  },
})

const readEventTypes = singleFlight(
  async () => JSON.stringify(JSON.parse(await readDescription('event-types'))),
  { keep: true },
)

export const listEventTypes = defineRoute<unknown>()({
  name: 'list-event-types',
  method: 'GET',
  path: 'event-types',
  summary: 'Every type of event, with the JSON Schema of its data and a sample',
  answers: {
    200: {
      description: 'The types.',
      body: z.strictObject({
        eventTypes: z.array(
          z.strictObject({
            type: z.string(),
            stream: z.string(),
            schema: z.record(z.string(), z.unknown()),
            sample: cloudEventSchema,
          }),
        ),
      }),
    },
  },
  handle: async () => ({ status: 200, json: await readEventTypes() }),
})

/** Reads what `npm run describe` has written to `docs/`. */
function readDescription(name: string) {
  // The compiled file is one folder deeper below the root than the source.
  const root = dirname(findPackageJSON(import.meta.url) ?? '')
  return readFile(join(root, 'docs', `${name}.json`), 'utf8')
}

interface Description {
  name: string
  summary: string
  body: z.ZodObject
  /** The members that hold the address of the app. */
  locate(api: string): object
}

/** Answers a description that `npm run describe` has written to `docs/`, with the address of the app filled in. */
function describe({ name, summary, body, locate }: Description): Route<unknown> {
  // Read on first use: no other route depends on the file.
  const read = singleFlight(
    async () => {
      const text = await readDescription(name)
      const address = Object.keys(locate('https://a'))
      const rest = Object.entries(JSON.parse(text)).filter(([member]) => !address.includes(member))
      return {
        digest: createHash('sha256').update(text),
        // Everything but the address, without its first bracket.
        rest: JSON.stringify(Object.fromEntries(rest)).slice(1),
      }
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
    async handle({ origin, ifNoneMatch }) {
      const { digest, rest } = await read()
      const etag = `"${digest.copy().update(origin).digest('hex')}"`
      const headers = { etag, 'cache-control': 'no-cache' }
      if (isKnownTag(ifNoneMatch, etag)) return { status: 304, headers }
      const located = JSON.stringify(locate(`${origin}/api`)).slice(0, -1)
      return { status: 200, json: `${located},${rest}`, headers }
    },
  })
}
