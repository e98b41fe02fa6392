import { investigation } from '../items/investigation.ts'
import { machineAction } from '../items/machine-action.ts'
import type { Route } from '../route.ts'
import { authenticatedScans } from './authenticated-scans.ts'
import { blob } from './blob.ts'
import { deviceAvInfo } from './device-av-info.ts'
import { informationGatheringExport } from './information-gathering-export.ts'
import { itemRoutes } from './items.ts'
import { receivers } from './receiver.ts'
import { tenable } from './tenable.ts'
import { token } from './token.ts'

/** All that the simulator answers. */
export const routes: Route[] = [
  token,
  informationGatheringExport,
  deviceAvInfo,
  ...itemRoutes(machineAction),
  ...itemRoutes(investigation),
  ...authenticatedScans,
  ...tenable,
  blob,
  ...receivers,
]
