import type { Moment } from './moment.ts'

/** What an upstream knows of one scan; null is "does not say". */
export interface Scan {
  result: string
  error: string | null
  at: Moment | null
}

/** How a row says whether something is up to date; null is sent as null or not at all. */
export type Flag = true | false | 'unknown' | null

/** One part of the antivirus: signatures, engine or platform. */
export interface AvPart {
  version: string | null
  updatedAt: Moment | null
  publishedAt: Moment | null
  upToDate: Flag
  ring: string | null
}

/** One device as one row shows it, free of any spelling: what is true, whatever a line makes of it. */
export interface Observation {
  /** Lower case. */
  deviceId: string
  name: string | null
  platform: string
  /** What the platform tells; null when it tells nothing. */
  osKind: 'windows' | 'mac' | 'linux' | null
  osVersion: string
  group: Group
  refreshedAt: Moment
  seenAt: Moment
  /** A digit, empty, or null without antivirus data. */
  mode: string | null
  signature: AvPart
  engine: AvPart
  platformPart: AvPart
  platformExpiresAt: Moment | null
  signatureRefreshedAt: Moment | null
  modeRefreshedAt: Moment | null
  cloudProtection: string | null
  quick: Scan | null
  full: Scan | null
  custom: Scan | null
  /**
   * `nested`: inside `AvScanResults`; `flat`: `QuickScanResult` and `FullScanResult` alone, which say neither error nor
   * time; `both`: side by side.
   */
  scanForm: 'nested' | 'flat' | 'both'
  /** Fields of the gathered information that are no antivirus health; null ones are sent as null. */
  gatheredOther: Record<string, unknown>
  /** Columns of the line itself that no page describes. */
  columnsOther: Record<string, unknown>
  /** A row that leaves out what it does not know instead of sending null. */
  sparse: boolean
}

/** A device group (RBAC group) of the tenant. */
export interface Group {
  id: number
  name: string
}
