import { deviceRoutes } from '../../shared/app/http.ts'
import { createQueries } from '../../shared/av-health/queries.ts'
import { avHealthRoutes } from '../../shared/av-health/routes.ts'
import { machineActions } from '../../shared/changes/resources/machine-actions.ts'
import { createStandings } from '../../shared/changes/standings.ts'
import { createFeed } from '../../shared/events/feed/feed.ts'
import type { ExportEngine } from '../../shared/exports/engine.ts'
import type { Route } from '../../shared/platform/route.ts'
import { askRoutes } from '../ask-routes.ts'

/** Asks the routes of the fleet over the tables of an engine, as the app would. */
export function createAsker(engine: ExportEngine) {
  const feed = createFeed(engine.table('Streams'))
  return askRoutes([...deviceRoutes, ...avHealthRoutes] as Route<unknown>[], {
    engine,
    clock: engine.clock,
    fleet: async () => createQueries(engine),
    standings: async () => createStandings({ feed, resource: machineActions }),
    knownScans: async () => ({ complete: false, scans: [] }),
  })
}
