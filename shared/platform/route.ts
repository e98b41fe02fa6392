import { z } from 'zod'
import { RequestError } from './errors.ts'
import {
  afterSchema,
  askedPosition,
  CSV_BOUNDS,
  csvLimitSchema,
  formatSchema,
  limitSchema,
  nextLink,
  positionOf,
  questionOf,
  toCursor,
} from './paging.ts'
import { isKnownTag, notModified, type Reply, toCsv } from './reply.ts'
import { type RouteInput, wrongQuery } from './request.ts'
import type { Tickets } from './tickets.ts'

/**
 * One HTTP route. Its schemas check requests, and the API descriptions are made from them. `Deps` is what the handler
 * needs of the app.
 */
export interface Route<Deps> {
  /** The function's name, kebab-case; it never changes, since monitoring uses it. */
  name: string
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  /** Without the prefix, with `{parameters}`. */
  path: string
  auth: 'function' | 'anonymous'
  summary: string
  /** Makes it a tool for assistants: what its answer tells, and what it can't tell. */
  mcp?: string
  params: z.ZodObject
  query: z.ZodObject
  body?: z.ZodObject
  answers: Record<number, { description: string; body?: z.ZodType }>
  handle(input: RouteInput<never, never, never>, deps: Deps): Promise<Reply>
  /** Only on a long-polling route. */
  continuation?: RouteContinuation<Deps>
}

/** The continuation of a long-polling route, for its tickets. */
export interface RouteContinuation<Deps> {
  /** The name in the tickets. */
  name: string
  /** Answers a request to the `Location`. */
  resume(request: Resumed, deps: Deps): Promise<Reply>
}

/** A request to a `Location`: its ticket, with its subject and age, and its `after`. */
interface Resumed {
  ticket: string
  subject: string
  ageMs: number
  origin: string
  after?: string
}

/**
 * A list in pages. The handler gets `after` as a position and answers the position of the next page as `next`, null on
 * the last page. Cursors and the `Link` header are made here.
 */
interface ListOption<Position extends z.ZodType> {
  /** The name of the list in its cursors: other lists refuse them, and so does the same list with other filters. */
  name: string
  position: Position
  /** The schema of an entry, if the 200 has no schema of its own. */
  of?: z.ZodType
  /** The member of the answer that holds the entries. Default `name`. */
  member?: string
  /** More members of the answer. */
  more?: z.ZodRawShape
  /** The columns of an entry as CSV, as paths; without them the list is no CSV. */
  csv?: readonly string[]
}

/** An answer that may take long. A 202 has `Retry-After`, and a `Location` with a ticket: a GET there calls `read`. */
export interface LongPollOption<Deps, Subject extends z.ZodType> {
  /** The name in the tickets. */
  name: string
  /** What a ticket stands for. */
  subject: Subject
  lifetimeMs(subject: z.output<Subject>): number
  /** Each use of the ticket starts its lifetime again, until so long after it was issued. */
  maxLifetimeMs?: number
  retryAfterSeconds: number
  /** Reads once for the holder of a ticket. */
  read(subject: z.output<Subject>, deps: Deps, request: Resumed): Promise<LongPollReply>
}

/** It has a continuation when it is a 202 or has `after`. */
export interface LongPollReply extends Reply {
  /** For the next `read`, in the `Location`. */
  after?: string
  /** Instead of the route's own. */
  retryAfterSeconds?: number
}

type WithTickets = { tickets: Tickets }

/** `Then` for a route with the option that `Option` is inferred from. */
type With<Option, Then> = [Option] extends [never] ? unknown : Then

interface RouteDefinition<
  Deps,
  P extends z.ZodObject,
  Q extends z.ZodObject,
  B extends z.ZodObject,
  Position extends z.ZodType,
  Flags extends z.ZodRawShape,
  Subject extends z.ZodType,
> extends Pick<Route<Deps>, 'name' | 'method' | 'path' | 'summary' | 'mcp' | 'answers'> {
  auth?: Route<Deps>['auth']
  params?: P
  query?: Q
  body?: B
  list?: ListOption<Position>
  /**
   * Answers get a weak ETag from the handler's `tag`; a request with this ETag gets 304. The names here are query flags
   * that change the form of an answer.
   */
  cached?: Flags
  /** The handler answers the ticket's `subject` beside the first answer. */
  longPoll?: Deps extends WithTickets ? LongPollOption<Deps, Subject> : never
  handle(
    input: RouteInput<
      z.output<P>,
      z.output<Q> &
        With<Position, { limit: number; after?: z.output<Position> }> &
        With<Flags, z.output<z.ZodObject<Flags>>>,
      z.output<B>
    >,
    deps: Deps,
  ): Promise<
    Reply &
      With<Position, { body: { next: z.output<Position> | null } }> &
      With<Flags, { tag: string }> &
      With<Subject, LongPollReply & { subject: z.output<Subject> }>
  >
}

/** Declares a route. Undeclared input is refused with 400. */
export function defineRoute<Deps>() {
  function define<
    P extends z.ZodObject = Nothing,
    Q extends z.ZodObject = Nothing,
    B extends z.ZodObject = Nothing,
    Position extends z.ZodType = never,
    Flags extends z.ZodRawShape = never,
    Subject extends z.ZodType = never,
  >(definition: RouteDefinition<Deps, P, Q, B, Position, Flags, Subject>): Route<Deps>
  function define({ list, cached, longPoll, ...rest }: Definition<Deps & WithTickets>) {
    let route: Plain<Deps & WithTickets> = {
      auth: 'function',
      params: nothing,
      query: nothing,
      ...rest,
    }
    if (list) route = withPages(route, list)
    if (cached) route = withTag(route, cached)
    return longPoll ? withTickets(route, longPoll) : route
  }
  return define
}

/** The longest page of JSON. */
const MAX_LIMIT = 1000

const nothing = z.strictObject({})
type Nothing = typeof nothing

/** A route before its options are applied: they change what its handler takes and answers. */
interface Plain<Deps> extends Omit<Route<Deps>, 'handle'> {
  handle(
    input: RouteInput<Record<string, string>, Record<string, unknown>, unknown>,
    deps: Deps,
  ): Promise<LongPollReply & { tag?: string; subject?: unknown }>
}

type Definition<Deps> = Omit<Plain<Deps>, 'auth' | 'params' | 'query'> &
  Partial<Plain<Deps>> & {
    list?: ListOption<z.ZodType>
    cached?: z.ZodRawShape
    longPoll?: LongPollOption<Deps, z.ZodType>
  }

function withPages<Deps>(
  route: Plain<Deps>,
  { name, position, of = z.unknown(), member = name, more, csv }: ListOption<z.ZodType>,
): Plain<Deps> {
  const filters = Object.keys(route.query.shape)
  const after = afterSchema(name, askedPosition(position))
  const body = z.strictObject({ [member]: z.array(of), next: z.string().nullable(), ...more })
  return {
    ...route,
    query: z.strictObject({
      ...route.query.shape,
      ...(csv ? { format: formatSchema, limit: csvLimitSchema } : { limit: limitSchema }),
      after,
    }),
    answers: { ...route.answers, 200: { description: 'A page.', body, ...route.answers[200] } },
    async handle(input, deps) {
      const { params } = input
      const { format, ...query } = input.query
      const { limit } = query
      if (format !== 'csv' && Number(limit) > MAX_LIMIT)
        throw wrongQuery('limit', `must be a whole number from ${CSV_BOUNDS}`)
      const filterValues = Object.fromEntries(filters.map((filter) => [filter, query[filter]]))
      const question = questionOf(params, filterValues)
      const after = positionOf(question, query.after)
      const { body, tag, headers, ...reply } = await route.handle(
        { ...input, query: { ...query, after } },
        deps,
      )
      // `RouteDefinition` demands it.
      const page = body as { next: unknown }
      const last = page.next
      const next = last === null ? null : toCursor(name, [question, last])
      const path = `/api/${route.path.replace(/\{(\w+)\}/g, (_, param) => params[param] ?? '')}`
      const link = nextLink(path, { limit, format, ...filterValues }, next)
      const rows = (body as Record<string, unknown[]>)[member] ?? []
      return {
        ...reply,
        csv: csv && format === 'csv' ? toCsv(csv, rows) : undefined,
        body: { ...page, next },
        headers: { ...headers, ...link },
        tag: tag && `${tag}-${after ?? 0}-${query.limit}`,
      }
    },
  }
}

function withTag<Deps>(route: Plain<Deps>, flags: z.ZodRawShape): Plain<Deps> {
  return {
    ...route,
    query: z.strictObject({ ...route.query.shape, ...flags }),
    answers: { ...route.answers, 304: notModified },
    async handle(input, deps) {
      const { tag, body, ...reply } = await route.handle(input, deps)
      const variants = Object.keys(flags).filter((flag) => input.query[flag])
      const etag = `W/"${[tag, ...variants].join('-')}"`
      const headers = { etag, ...reply.headers }
      return isKnownTag(input.ifNoneMatch, etag)
        ? { status: 304, headers }
        : { ...reply, body, headers }
    },
  }
}

function withTickets<Deps extends WithTickets>(
  route: Plain<Deps>,
  option: LongPollOption<Deps, z.ZodType>,
): Route<Deps> {
  const { name, lifetimeMs, maxLifetimeMs } = option
  const isFinal = ({ status, after }: LongPollReply) => status !== 202 && after === undefined
  function locate(reply: LongPollReply, origin: string, ticket: string) {
    const { after, retryAfterSeconds = option.retryAfterSeconds, ...rest } = reply
    const search = after === undefined ? '' : `&after=${after}`
    const location = `${origin}/api/continue?ticket=${ticket}${search}`
    const headers = { ...rest.headers, location, 'retry-after': String(retryAfterSeconds) }
    return { ...rest, headers }
  }
  return {
    ...route,
    async handle(input, deps) {
      const { subject, ...reply } = await route.handle(input, deps)
      if (isFinal(reply)) return reply
      const continuation = { name, subject: JSON.stringify(subject) }
      const ticket = await deps.tickets.issue(continuation, lifetimeMs(subject), maxLifetimeMs)
      return locate(reply, input.origin, ticket)
    },
    continuation: {
      name,
      async resume(request, deps) {
        const { ticket, origin } = request
        const subject = option.subject.parse(JSON.parse(request.subject))
        const reply = await option.read(subject, deps, request).catch(async (error: unknown) => {
          const isEnd = error instanceof RequestError && [404, 409].includes(error.facts.status)
          if (isEnd) await deps.tickets.end(ticket)
          throw error
        })
        if (!isFinal(reply)) return locate(reply, origin, ticket)
        await deps.tickets.end(ticket)
        return reply
      },
    },
  }
}
