import type { HttpRoute } from '../../../shared/app/http.ts'
import { forDesigner } from './designer.ts'
import type { OpenApi } from './document.ts'
import { describeOpenApi } from './openapi.ts'
import { type Swagger, toSwagger } from './swagger.ts'

/** The descriptions of a whole app. */
export interface Descriptions {
  openapi: OpenApi
  swagger: Swagger
}

/** The origin in the committed descriptions; the app replaces it with its own. */
const PLACEHOLDER_ORIGIN = 'https://your-app.azurewebsites.net'

/** Describes routes once in OpenAPI 3.0 and, for Logic Apps, in Swagger 2.0. */
export function describeRoutes(routes: HttpRoute[]): Descriptions {
  const openapi = describeOpenApi(routes, PLACEHOLDER_ORIGIN)
  return { openapi, swagger: forDesigner(toSwagger(openapi)) }
}
