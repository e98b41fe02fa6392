import { checkResource } from './check.ts'
import { listItems, showItem, waitForItem } from './items.ts'

/** The routes of the changes flow. */
export const changesRoutes = [listItems, showItem, waitForItem, checkResource]
