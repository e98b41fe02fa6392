import { z } from 'zod'

/** What a handler answers: a status, a JSON body, headers. */
export interface Reply {
  status: number
  body?: unknown
  headers?: Record<string, string>
}

/** The request as a handler sees it: checked by the route's own schemas. */
export interface RouteInput<Params, Query, Body> {
  params: Params
  query: Query
  body: Body
  /** The origin that `Location` and links are made from, for instance `https://app.example.net`. */
  origin: string
  /** The tags that the caller has, as `If-None-Match` brought them. */
  ifNoneMatch: string | null
}

/**
 * One HTTP route with the schemas of what it takes and answers, declared once beside its handler: requests are checked
 * with them and API descriptions are rendered from them. `Parts` is what the handler needs of the app.
 */
export interface Route<Parts> {
  /** The function's name, kebab-case; a promise to whoever watches the app. */
  name: string
  method: 'GET' | 'POST' | 'DELETE'
  /** Below the prefix, with `{parameters}`. */
  path: string
  auth: 'function' | 'anonymous'
  summary: string
  params: z.ZodObject
  query: z.ZodObject
  /** Absent when the route takes no body. */
  body?: z.ZodObject
  answers: Record<number, { description: string; body?: z.ZodType }>
  handle(input: RouteInput<never, never, never>, parts: Parts): Promise<Reply>
}

interface RouteDefinition<
  Parts,
  P extends z.ZodObject,
  Q extends z.ZodObject,
  B extends z.ZodObject,
> {
  name: string
  method: Route<Parts>['method']
  path: string
  auth?: Route<Parts>['auth']
  summary: string
  params?: P
  query?: Q
  body?: B
  answers: Route<Parts>['answers']
  handle(input: RouteInput<z.output<P>, z.output<Q>, z.output<B>>, parts: Parts): Promise<Reply>
}

/** Declares a route; its handler's input has the types of its schemas. Whatever is not declared is refused with 400. */
export function defineRoute<Parts>() {
  return <
    P extends z.ZodObject = Nothing,
    Q extends z.ZodObject = Nothing,
    B extends z.ZodObject = Nothing,
  >(
    definition: RouteDefinition<Parts, P, Q, B>,
  ): Route<Parts> => ({
    auth: 'function',
    params: nothing,
    query: nothing,
    ...definition,
  })
}

const nothing = z.strictObject({})
type Nothing = typeof nothing
