import type { FaultSwitch } from './switch.ts'

export const platformSwitches: Record<string, FaultSwitch> = {}
