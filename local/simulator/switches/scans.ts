import type { FaultSwitch } from './switch.ts'

export const scansSwitches: Record<string, FaultSwitch> = {}
