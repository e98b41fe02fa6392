import type { Command } from '../command-line.ts'
import { exportCommands, snapshotCommands } from './av-health.ts'
import { eventCommands, itemCommands } from './changes.ts'
import { scanCommands } from './scans.ts'
import { statusCommands } from './status.ts'
import { deliveryCommands, subscriptionCommands } from './subscriptions.ts'

/** Every command of the operator's command line. */
export const commands: readonly Command[] = [
  ...statusCommands,
  ...itemCommands,
  ...eventCommands,
  ...subscriptionCommands,
  ...deliveryCommands,
  ...scanCommands,
  ...exportCommands,
  ...snapshotCommands,
]
