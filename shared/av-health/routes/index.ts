import { showDevice } from './device.ts'
import { listExports, showExport, startExport, waitForExport } from './exports.ts'
import { listSnapshots } from './snapshots.ts'

/** Every route of the antivirus-health flow. */
export const avHealthRoutes = [
  startExport,
  listExports,
  showExport,
  waitForExport,
  listSnapshots,
  showDevice,
]
