/** A schema in the dialect of OpenAPI 3.0 or Swagger 2.0. */
export interface Schema {
  $ref?: string
  type?: string
  /** The name that people read. */
  title?: string
  description?: string
  properties?: Record<string, Schema>
  required?: string[]
  items?: Schema
  additionalProperties?: boolean | Schema
  enum?: unknown[]
  nullable?: boolean
  allOf?: Schema[]
  anyOf?: Schema[]
  oneOf?: Schema[]
  [keyword: string]: unknown
}

type Media = Record<string, { schema: Schema }>

/** A parameter of an OpenAPI operation. */
export interface Parameter {
  name: string
  in: 'path' | 'query'
  required: boolean
  description?: string
  schema: Schema
}

/** An answer of an OpenAPI operation. */
export interface Response {
  description: string
  headers?: Record<string, { description: string; schema: Schema }>
  content?: Media
}

/** An operation of an OpenAPI description. */
export interface Operation {
  operationId: string
  tags: string[]
  summary: string
  description: string
  parameters?: Parameter[]
  requestBody?: { required: boolean; content: Media }
  responses: Record<string, Response>
  callbacks?: Record<string, unknown>
  security?: Record<string, string[]>[]
}

/** The members of an OpenAPI 3.0 description that are used here: https://spec.openapis.org/oas/v3.0.4 */
export interface OpenApi {
  openapi: '3.0.3'
  info: { title: string; version: string; description: string }
  servers: { url: string }[]
  security: Record<string, string[]>[]
  paths: Record<string, Record<string, Operation>>
  components: {
    schemas: Record<string, Schema>
    securitySchemes: Record<string, Record<string, string>>
  }
}
