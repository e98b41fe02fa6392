import type { FaultSwitch } from './switch.ts'

export const exportsSwitches: Record<string, FaultSwitch> = {}
