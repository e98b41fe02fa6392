import { z } from 'zod'
import {
  afterSchema,
  limitSchema,
  nextLink,
  ownedPosition,
  positionOf,
  toCursor,
} from './paging.ts'
import { isKnownTag, notModified, type Reply } from './reply.ts'
import type { RouteInput } from './request.ts'
import type { Tickets } from './tickets.ts'

/**
 * One HTTP route with the schemas of what it takes and answers, declared once beside its handler: requests are checked
 * with them and API descriptions are rendered from them. `Deps` is what the handler needs of the app.
 */
export interface Route<Deps> {
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
  handle(input: RouteInput<never, never, never>, deps: Deps): Promise<Reply>
  /** Only on a long-polling route. */
  continuation?: RouteContinuation<Deps>
}

/** What the tickets of a long-polling route open. */
export interface RouteContinuation<Deps> {
  /** The name that the tickets carry. */
  name: string
  resume(resumed: Resumed, deps: Deps): Promise<Reply>
}

/** What a caller who follows a `Location` brings: a ticket, what the ticket is about, what stands beside it. */
export interface Resumed {
  ticket: string
  subject: string
  origin: string
  after?: string
}

/**
 * A list in pages. The route takes `limit` and `after`. Its handler gets `after` as a position, and answers as `next` the
 * position after which the next page begins, null on the last one. Cursors and the `Link` header are made here.
 */
interface ListOption<Position extends z.ZodType, Param = string> {
  /** The name of the list in its cursors: no other list takes them. */
  name: string
  position: Position
  /** The path parameter that names the owner of the list: the list of another owner does not take its cursors. */
  owner?: Param
  /** The schema of an entry; needed where the 200 declares no schema of its own. */
  of?: z.ZodType
  /** The member of the answer that holds the entries, where it is not called like the list. */
  member?: string
  /** The members of the answer beside the entries and `next`. */
  more?: z.ZodRawShape
}

/**
 * An answer that may take long. A 202 brings `Retry-After` and a `Location` with a ticket; whoever follows it gets what
 * `read` answers.
 */
export interface LongPollOption<Deps, Subject extends z.ZodType> {
  /** The name that the tickets carry. */
  name: string
  /** What is read, as the ticket keeps it. */
  subject: Subject
  lifetimeMs(subject: z.output<Subject>): number
  /** Whether each use makes the ticket good for its whole lifetime again. */
  isRenewed?: boolean
  retryAfterSeconds: number
  /** Reads once; `after` is what stood in the `Location`. */
  read(subject: z.output<Subject>, deps: Deps, after?: string): Promise<LongPollReply>
}

/** An answer that goes on: a 202, or one with `after`. */
export interface LongPollReply extends Reply {
  /** Stands in the `Location`, for the next `read`. */
  after?: string
  /** In place of the route's own. */
  retryAfterSeconds?: number
}

interface WithTickets {
  tickets: Tickets
}

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
> extends Pick<Route<Deps>, 'name' | 'method' | 'path' | 'summary' | 'answers'> {
  auth?: Route<Deps>['auth']
  params?: P
  query?: Q
  body?: B
  list?: ListOption<Position, string & keyof z.output<P>>
  /**
   * Answers get a weak ETag made of the handler's `tag`, and who has it already gets 304. The names here are flags of the
   * query that make another answer of the same content.
   */
  cached?: Flags
  /** Its handler says the `subject` of the ticket beside the first answer. */
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

/** Declares a route; its handler's input has the types of its schemas. Whatever is not declared is refused with 400. */
export function defineRoute<Deps>() {
  function define<
    P extends z.ZodObject = Nothing,
    Q extends z.ZodObject = Nothing,
    B extends z.ZodObject = Nothing,
    Position extends z.ZodType = never,
    Flags extends z.ZodRawShape = never,
    Subject extends z.ZodType = never,
  >(definition: RouteDefinition<Deps, P, Q, B, Position, Flags, Subject>): Route<Deps>
  function define(definition: Definition<Deps & WithTickets>): Route<Deps & WithTickets> {
    const { list, cached, longPoll, params = nothing, query = nothing, ...rest } = definition
    let route: Plain<Deps & WithTickets> = { auth: 'function', ...rest, params, query }
    if (list) route = withPages(route, list)
    if (cached) route = withTag(route, cached)
    return longPoll ? withTickets(route, longPoll) : route
  }
  return define
}

const nothing = z.strictObject({})
type Nothing = typeof nothing

/** A route while its options are worked in: what its handler takes and answers follows from them. */
interface Plain<Deps> extends Omit<Route<Deps>, 'handle'> {
  handle(
    input: RouteInput<Record<string, string>, Record<string, unknown>, unknown>,
    deps: Deps,
  ): Promise<LongPollReply & { tag?: string; subject?: unknown }>
}

interface Definition<Deps>
  extends Omit<Plain<Deps>, 'auth' | 'params' | 'query'>,
    Partial<Pick<Plain<Deps>, 'auth' | 'params' | 'query'>> {
  list?: ListOption<z.ZodType>
  cached?: z.ZodRawShape
  longPoll?: LongPollOption<Deps, z.ZodType>
}

function withPages<Deps>(
  route: Plain<Deps>,
  { name, position, owner, of = z.unknown(), member = name, more }: ListOption<z.ZodType>,
): Plain<Deps> {
  const filters = Object.keys(route.query.shape)
  const after = afterSchema(name, owner ? ownedPosition(position) : position)
  const body = z.strictObject({ [member]: z.array(of), next: z.string().nullable(), ...more })
  return {
    ...route,
    query: z.strictObject({ ...route.query.shape, limit: limitSchema, after }),
    answers: { ...route.answers, 200: { description: 'A page.', body, ...route.answers[200] } },
    async handle(input, deps) {
      const { params, query } = input
      const whose = owner && params[owner]
      const after = whose === undefined ? query.after : positionOf(whose, query.after)
      const { body, tag, headers, ...reply } = await route.handle(
        { ...input, query: { ...query, after } },
        deps,
      )
      if (!isPage(body)) throw new Error(`${route.name} answers no page`)
      const { next: last } = body
      const next = last === null ? null : toCursor(name, whose === undefined ? last : [whose, last])
      const asked = Object.fromEntries(filters.map((filter) => [filter, query[filter]]))
      const path = `/api/${route.path.replace(/\{(\w+)\}/g, (_, param) => params[param] ?? '')}`
      return {
        ...reply,
        body: { ...body, next },
        headers: { ...headers, ...nextLink(path, { limit: query.limit, ...asked }, next) },
        tag: tag && `${tag}-${after ?? 0}-${query.limit}`,
      }
    },
  }
}

const isPage = (body: unknown): body is { next: unknown } =>
  typeof body === 'object' && body !== null && 'next' in body

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
  {
    name,
    subject: schema,
    lifetimeMs,
    isRenewed,
    retryAfterSeconds,
    read,
  }: LongPollOption<Deps, z.ZodType>,
): Route<Deps> {
  async function answer(reply: LongPollReply, origin: string, findTicket: () => Promise<string>) {
    const { after, retryAfterSeconds: seconds = retryAfterSeconds, ...rest } = reply
    if (reply.status !== 202 && after === undefined) return rest
    const place = after === undefined ? '' : `?after=${after}`
    const location = `${origin}/api/continue/${await findTicket()}${place}`
    return { ...rest, headers: { ...rest.headers, location, 'retry-after': String(seconds) } }
  }
  return {
    ...route,
    async handle(input, deps) {
      const { subject, ...reply } = await route.handle(input, deps)
      return answer(reply, input.origin, () =>
        deps.tickets.issue({ name, subject: JSON.stringify(subject) }, lifetimeMs(subject)),
      )
    },
    continuation: {
      name,
      async resume({ ticket, subject: text, origin, after }, deps) {
        const subject = schema.parse(JSON.parse(text))
        if (isRenewed) await deps.tickets.extend(ticket, lifetimeMs(subject))
        return answer(await read(subject, deps, after), origin, async () => ticket)
      },
    },
  }
}
