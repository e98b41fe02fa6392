import { defineRoute } from '../platform/route.ts'
import type { Tickets } from '../platform/tickets.ts'
import type { PollContext } from './poll-state.ts'

export interface ChangesDeps {
  context(name: string): PollContext
  /** Sends new events of a stream to their subscribers. */
  dispatch(stream: string): Promise<void>
  tickets: Tickets
}

export const changesRoute = defineRoute<ChangesDeps>()
