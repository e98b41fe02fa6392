import type { IncomingHttpHeaders } from 'node:http'
import type { Reply } from './reply.ts'
import type { World } from './world.ts'

/** A request as a route sees it. */
export interface Call {
  url: URL
  headers: IncomingHttpHeaders
  /** The whole body as text, at most 1 MiB. */
  body(): Promise<string>
  /** What the groups of the route's path caught. */
  caught: Record<string, string>
  /** Aborted when the caller has gone or the server stops. */
  signal: AbortSignal
}

/** One thing that the simulator answers. */
export interface Route {
  method: 'GET' | 'POST'
  /** Matches the whole path; a path that no route matches is answered by its neighbourhood's 404. */
  path: RegExp
  answer(call: Call, world: World): Reply | Promise<Reply>
}
