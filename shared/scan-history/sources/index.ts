import { createDefenderSource } from './defender.ts'
import { createTenableSource } from './tenable.ts'

/** Every source of scan history, and how it is made. */
export const makeSource = { defender: createDefenderSource, tenable: createTenableSource }
