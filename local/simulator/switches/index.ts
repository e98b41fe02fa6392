import { changesSwitches } from './changes.ts'
import { exportsSwitches } from './exports.ts'
import { platformSwitches } from './platform.ts'
import { scansSwitches } from './scans.ts'
import type { FaultSwitch } from './switch.ts'

/** Every fault switch by the name that `--fault` takes. */
export const faultSwitches: Record<string, FaultSwitch> = {
  ...scansSwitches,
  ...changesSwitches,
  ...exportsSwitches,
  ...platformSwitches,
}
