import { defineRoute } from '../platform/route.ts'
import type { LookupParts } from './lookup.ts'
import type { DefenderSource } from './sources/defender.ts'
import type { TenableSource } from './sources/tenable.ts'

/** What the routes of this domain work with. A source that is not set up throws a ConfigError and stops no other. */
export interface ScanHistoryParts extends LookupParts {
  defender(): Promise<DefenderSource>
  tenable(): Promise<TenableSource>
}

/** Declares a route of this domain. */
export const scanRoute = defineRoute<ScanHistoryParts>()
