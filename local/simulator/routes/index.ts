import type { Route } from '../route.ts'
import { blob } from './blob.ts'
import { deviceAvInfo } from './device-av-info.ts'
import { informationGatheringExport } from './information-gathering-export.ts'
import { token } from './token.ts'

/** All that the simulator answers. */
export const routes: Route[] = [token, informationGatheringExport, deviceAvInfo, blob]
