import { checkResource } from './check.ts'
import { listItems, showItem } from './items.ts'
import { waitForItem } from './wait.ts'

/** Every route of the watch over changes. */
export const changesRoutes = [listItems, showItem, waitForItem, checkResource]
