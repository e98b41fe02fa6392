import { checkResource } from './check.ts'
import { showItem, waitForItem } from './items.ts'
import { listItems } from './list-items.ts'

/** The routes of the changes flow. */
export const changesRoutes = [listItems, showItem, waitForItem, checkResource]
