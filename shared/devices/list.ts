import { z } from 'zod'
import { createReadLimit, type ReadLimit } from '../platform/ordered-reads.ts'
import { WRONG_CURSOR } from '../platform/paging.ts'
import { wrongQuery } from '../platform/request.ts'
import { defineRoute } from '../platform/route.ts'
import type { Clock } from '../platform/time.ts'

export type Values = Record<string, unknown>

type Position = string[]

/** The snapshots of the fleet, as the app hands them over. */
interface FleetReader {
  list(
    filter: Values,
    limit: number,
    sort?: string,
    after?: Position,
  ): Promise<{
    devices: Values[]
    next: Position | null
  }>
  /** The device of an id in one snapshot: undefined when it does not pass, null when no more may be read. */
  openFinder(
    filter: Values,
    runId?: string,
  ): Promise<{
    snapshot: { runId: string }
    find(machineId: string, reads: ReadLimit): Promise<Values | undefined | null>
  }>
  show(machineId: string): Promise<{ isKnown: boolean; avHealth: Values }>
}

type Held = { machineId: string; computerDnsName: string | null; standing: Values }
type Shown = Held & { isKnown: boolean; lastEvents: Values[] }

/** What the machine actions say of devices, as the app hands it over. */
interface StandingReader {
  show(machineId: string): Promise<Shown>
  list<T>(
    filter: Values,
    page: {
      limit: number
      reads: ReadLimit
      /** Undefined leaves a device out, null ends the page before it. */
      toEntry(held: Held): Promise<T | undefined | null>
    },
    after?: string,
  ): Promise<{ asOf: string | null; devices: T[]; next: string | null }>
}

export interface DeviceDeps {
  fleet(): Promise<FleetReader>
  standings(): Promise<StandingReader>
  knownScans(name: string): Promise<Values>
  clock: Pick<Clock, 'now'>
}

/** The words and shapes of the domains. */
export interface DeviceCatalog {
  /** Of both domains. */
  filters: z.ZodRawShape
  sorts: readonly string[]
  machineId: z.ZodType<string>
  listed: z.ZodObject
  standing: z.ZodObject
  avHealth: z.ZodObject
  lastEvent: z.ZodObject
  knownScans: z.ZodObject
}

export const deviceRoute = defineRoute<DeviceDeps>()

export const nullable = z.string().nullable()

/** The list of devices, with the words of the domains. */
export function createListDevices(catalog: DeviceCatalog) {
  const { filters, sorts, listed, standing, avHealth } = catalog
  const entry = z.strictObject({
    machineId: z.string(),
    computerDnsName: nullable,
    avHealth: listed
      .nullable()
      .describe('Null in a list by `isolation` or `pendingAction` without another filter.'),
    standing: standing
      .nullable()
      .describe('Only in a list by `isolation` or `pendingAction`; else it was not read.'),
  })
  const values = Object.keys(listed.shape).filter((name) => name !== 'computerDnsName')
  const held = ['isolation', 'codeExecution'].flatMap((what) =>
    ['state', 'since', 'actionId'].map((name) => `standing.${what}.${name}`),
  )
  const csv = [
    ...['machineId', 'computerDnsName', ...values.map((name) => `avHealth.${name}`)],
    ...[...held, 'standing.pending'],
  ]

  return deviceRoute({
    name: 'list-devices',
    method: 'GET',
    path: 'devices',
    summary: 'Devices by condition, name, group and more, or by what holds on them now',
    mcp: 'Devices by condition, name, group, system, or by what holds on them now. An empty page with a next is not the end.',
    query: z.strictObject({ ...filters, sort: z.enum(sorts).optional() }),
    answers: { 200: { description: 'A page; one that is empty may have a `next`.' } },
    list: {
      name: 'devices',
      of: entry,
      // A snapshot (or none), an order, and a key.
      position: z.array(z.string().max(1200)).length(3),
      more: {
        snapshot: avHealth.shape.snapshot,
        asOf: nullable.describe('Until when machine actions are folded in; null where not read.'),
        scanned: z.int().describe('Rows that were read for this page.'),
      },
      csv,
    },
    async handle({ query: { limit, after, ...query } }, deps) {
      const texts = query as Record<string, string | undefined>
      const { sort, isolation, pendingAction, ...filter } = texts
      const [runId, order, key] = after ?? []
      if (isolation === undefined && pendingAction === undefined) {
        const page = await (await deps.fleet()).list(filter, limit, sort, after)
        const devices = page.devices.map((one) => ({ ...one, standing: null }))
        return { status: 200, body: { ...page, devices, asOf: null } }
      }
      if (sort && sort !== 'id')
        throw wrongQuery('sort', 'must be id with isolation or pendingAction')
      if (order && order !== 'held') throw wrongQuery('after', WRONG_CURSOR)
      const isJoined = Object.values(filter).some((value) => value !== undefined)
      const joined = isJoined && (await (await deps.fleet()).openFinder(filter, runId || undefined))
      const reads = createReadLimit(deps.clock)
      const toEntry = async (one: Held) => {
        if (!joined) return { ...one, avHealth: null }
        const found = await joined.find(one.machineId, reads)
        return found && { ...one, ...found }
      }
      const holding = { isolation, pendingAction }
      const standings = await deps.standings()
      const { next, ...page } = await standings.list(holding, { limit, reads, toEntry }, key)
      const { snapshot } = joined || { snapshot: null }
      const end = next === null ? null : [snapshot?.runId ?? '', 'held', next]
      return { status: 200, body: { ...page, snapshot, scanned: reads.scanned, next: end } }
    },
  })
}
