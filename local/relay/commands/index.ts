import type { Command } from '../command.ts'
import { deliveryCommands } from './deliveries.ts'
import { eventCommands } from './events.ts'
import { exportCommands } from './exports.ts'
import { itemCommands } from './items.ts'
import { scanCommands } from './scans.ts'
import { snapshotCommands } from './snapshots.ts'
import { statusCommands } from './status.ts'
import { subscriptionCommands } from './subscriptions.ts'

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
