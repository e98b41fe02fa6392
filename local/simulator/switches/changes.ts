import type { FaultSwitch } from './switch.ts'

export const changesSwitches: Record<string, FaultSwitch> = {}
