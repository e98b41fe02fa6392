import { listDefinitions, listSessions, showDefinition, showSession } from './defender.ts'
import { listRuns, showScan, showStatus } from './tenable.ts'

/** The routes of the scan look-ups. */
export const scanHistoryRoutes = [
  showSession,
  listSessions,
  listDefinitions,
  showDefinition,
  showScan,
  listRuns,
  showStatus,
]
