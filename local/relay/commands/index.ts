import type { Command } from '../command-line.ts'
import { avHealthCommands } from './av-health.ts'
import { changeCommands } from './changes.ts'
import { deviceCommands } from './devices.ts'
import { scanCommands } from './scans.ts'
import { statusCommands } from './status.ts'
import { subscriptionCommands } from './subscriptions.ts'

/** Every command of the operator's command line. */
export const commands: readonly Command[] = [
  ...statusCommands,
  ...deviceCommands,
  ...changeCommands,
  ...subscriptionCommands,
  ...scanCommands,
  ...avHealthCommands,
]
