import type { Executor, ExportEngine } from '../exports/engine.ts'
import { defineRoute } from '../platform/route.ts'
import type { Tickets } from '../platform/tickets.ts'

/** What the antivirus-health routes work with. */
export interface AvHealthParts {
  engine: ExportEngine
  executor: Executor
  tickets: Tickets
}

/** Declares a route of this domain. */
export const avHealthRoute = defineRoute<AvHealthParts>()
