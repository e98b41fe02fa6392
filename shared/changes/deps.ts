import { defineRoute } from '../platform/route.ts'
import type { Tickets } from '../platform/tickets.ts'
import type { PollContext } from './poll-state.ts'

/** What the routes of this domain work with. */
export interface ChangesDeps {
  context(name: string): PollContext
  /** Hands new events of a stream to their subscribers. */
  dispatch(stream: string): Promise<void>
  tickets: Tickets
}

/** Declares a route of this domain. */
export const changesRoute = defineRoute<ChangesDeps>()
