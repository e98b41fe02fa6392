import { createDefenderSource } from './defender.ts'
import { createTenableSource } from './tenable.ts'

/** Every source of scan history. */
export const sourceNames = ['defender', 'tenable'] as const
export type SourceName = (typeof sourceNames)[number]

/** How each source is made. */
export const makeSource = { defender: createDefenderSource, tenable: createTenableSource } satisfies Record<
  SourceName,
  unknown
>
