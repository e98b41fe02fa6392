import { checkResource } from './check.ts'
import { listItems, showItem, waitForItem } from './items.ts'

/** Every route of the watch over changes. */
export const changesRoutes = [listItems, showItem, waitForItem, checkResource]
