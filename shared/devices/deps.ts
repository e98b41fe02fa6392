import { z } from 'zod'
import type { ReadLimit } from '../platform/ordered-reads.ts'
import { defineRoute } from '../platform/route.ts'
import type { Clock } from '../platform/time.ts'

export type Values = Record<string, unknown>

/** A device in a list of a snapshot. */
export type Listed = { machineId: string } & Values

export interface FleetFilter {
  conditions?: readonly string[]
  mode?: string
  group?: string
  os?: string
  name?: string
  seenBefore?: string
  by?: string
  value?: string
}

type Snapshot = { runId: string; generatedTime: string | null }

/** The snapshots of the fleet, as the app hands them over. */
export interface FleetReader {
  listDevices(
    filter: FleetFilter,
    sort: 'id' | 'worst' | 'name',
    limit: number,
    after: FleetPosition | undefined,
  ): Promise<{ devices: Listed[]; snapshot: Snapshot; scanned: number; next: FleetPosition | null }>
  /** Those of the current snapshot; undefined for a device that it does not hold. */
  devicesById(
    ids: readonly string[],
    filter: FleetFilter,
    reads: ReadLimit,
  ): Promise<{ devices: Map<string, Listed>; snapshot: Snapshot; read: number }>
  showDevice(machineId: string): Promise<{ isKnown: boolean; avHealth: Values }>
  listHistory(
    machineId: string,
    limit: number,
    after: string | undefined,
  ): Promise<{ history: Values[]; scanned: number; next: string | null }>
}

export type FleetPosition = [runId: string, sort: 'id' | 'worst' | 'name', key: string]

/** What the machine actions say of devices, as the app hands it over. */
export interface StandingReader {
  show(
    machineId: string,
  ): Promise<{ isKnown: boolean; computerDnsName: string | null; standing: Values }>
  list(
    filter: { isolation?: readonly string[]; pendingAction?: string },
    limit: number,
    reads: ReadLimit,
    after: string | undefined,
  ): Promise<{
    asOf: string | null
    devices: { machineId: string; computerDnsName: string | null; standing: Values }[]
    next: string | null
  }>
}

export interface DeviceDeps {
  fleet(): Promise<FleetReader>
  standings(): Promise<StandingReader>
  clock: Pick<Clock, 'now'>
}

/** The words and shapes of the domains. */
export interface DeviceCatalog {
  conditions: readonly string[]
  modes: readonly string[]
  dimensions: readonly string[]
  columns: readonly string[]
  standing: z.ZodObject
  position: z.ZodType<FleetPosition>
}

export const deviceRoute = defineRoute<DeviceDeps>()

export const machineId = z
  .string()
  .regex(/^[0-9A-Za-z._-]{1,128}$/, 'must be 1 to 128 letters, digits, dots, dashes or underscores')

export const nullable = z.string().nullable()

/** How answers name a snapshot. */
export const snapshotSchema = z
  .strictObject({ runId: z.string(), generatedTime: nullable })
  .nullable()
