import { createHash } from 'node:crypto'
import { z } from 'zod'
import { isKnownTag, notModified, type Reply } from '../../platform/reply.ts'
import { defineRoute } from '../../platform/route.ts'
import type { HttpRoute } from '../http.ts'
import { forDesigner } from './designer.ts'
import type { OpenApi } from './document.ts'
import { describeOpenApi } from './openapi.ts'
import { type Swagger, toSwagger } from './swagger.ts'

/** The descriptions of the whole app as seen from one origin. */
export interface Descriptions {
  openapi: OpenApi
  swagger: Swagger
}

/** Where the shipped descriptions say that the app is: whoever imports them puts the real name in its place. */
export const PLACEHOLDER_ORIGIN = 'https://your-app.azurewebsites.net'

/** Describes routes once in OpenAPI 3.0 and, for Logic Apps, in Swagger 2.0. */
export function describeRoutes(routes: HttpRoute[], origin: string): Descriptions {
  const openapi = describeOpenApi(routes, origin)
  return { openapi, swagger: forDesigner(toSwagger(openapi)) }
}

function tagged(body: object, ifNoneMatch: string | null): Reply {
  const etag = `"${createHash('sha256').update(JSON.stringify(body)).digest('hex')}"`
  return isKnownTag(ifNoneMatch, etag)
    ? { status: 304, headers: { etag } }
    : { status: 200, body, headers: { etag } }
}

const route = defineRoute<{ describe(origin: string): Descriptions }>()

/** The description that most tools read. */
export const showOpenApi = route({
  name: 'openapi',
  method: 'GET',
  path: 'openapi.json',
  auth: 'anonymous',
  summary: 'This API as OpenAPI 3.0',
  answers: {
    200: { description: 'The description.', body: z.looseObject({ openapi: z.string() }) },
    304: notModified,
  },
  handle: async ({ origin, ifNoneMatch }, { describe }) =>
    tagged(describe(origin).openapi, ifNoneMatch),
})

/** The description that a Logic Apps custom connector is made from. */
export const showSwagger = route({
  name: 'swagger',
  method: 'GET',
  path: 'swagger.json',
  auth: 'anonymous',
  summary: 'This API as Swagger 2.0, with the triggers of a Logic Apps connector',
  answers: {
    200: { description: 'The description.', body: z.looseObject({ swagger: z.string() }) },
    304: notModified,
  },
  handle: async ({ origin, ifNoneMatch }, { describe }) =>
    tagged(describe(origin).swagger, ifNoneMatch),
})
