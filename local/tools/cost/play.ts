import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { TableClient, TableServiceClient } from '@azure/data-tables'
import { z } from 'zod'
import { useOverrides } from '../../../shared/app.ts'
import { AV_HEALTH } from '../../../shared/av-health/export.ts'
import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from '../../../shared/platform/time.ts'
import { startAzurite } from '../../azurite.ts'
import { createAdjustableClock } from '../../clock.ts'
import { startHost } from '../../host/host.ts'
import { createSimulatorCredential, localCallbacks } from '../../laptop.ts'
import { countInto, countRequests, type RequestCounts } from './count-requests.ts'
import { EXPORTS } from './month.ts'
import type { SimulatorMessage } from './simulator-process.ts'

/** What the runs of one function took in a day. */
export interface FunctionCounts extends RequestCounts {
  executions: number
  cpuMs: number
  logLines: number
  logBytes: number
}

export interface PlayOptions {
  devices: number
  /** Machine actions an hour; an investigation comes for every fourth. */
  actionsPerHour: number
  hours: number
}

/** The hours that were played, from midnight. Before them the fleet was imported once. */
export interface Play extends PlayOptions {
  /** The one subscriber gets each of them. */
  events: number
  functions: Record<string, FunctionCounts>
  /** Differences between one export and the next, in all of the exports. */
  transitions: number
  /**
   * Bytes in tables by Microsoft's rule: of one snapshot, of the devices of one by condition, of what is known of each
   * device, of what the exports added to changes and to histories, and of what else was written.
   */
  storedBytes: Record<
    'snapshot' | 'conditions' | 'devices' | 'changes' | 'histories' | 'other',
    number
  >
}

/** The seconds of a minute at which something is due: two polls, and the dispatch between them. */
const STEPS_S = [20, 10, 30]
const WARM_UP_MINUTES = 10

const runSchema = z.object({ runId: z.string(), state: z.string() })
const changesSchema = z.object({ counts: z.record(z.string(), z.int()) }).nullable()
const runsSchema = z.object({ runs: z.array(runSchema.extend({ changes: changesSchema })) })
const statusSchema = z.object({ events: z.record(z.string(), z.object({ head: z.int() })) })

/** Plays hours of a tenant on the embedded host, with one subscriber, and counts what each function asks for and takes. */
export async function play({ devices, actionsPerHour, hours }: PlayOptions): Promise<Play> {
  const script = fileURLToPath(new URL('simulator-process.ts', import.meta.url))
  const simulator = fork(script, [String(devices), String(actionsPerHour)])
  const [origin]: string[] = await once(simulator, 'message')
  if (!origin) throw new Error('the simulator has no address')
  const azurite = await startAzurite()
  const storage = azurite.connectionString()
  const clock = createAdjustableClock()
  const pass = (advance: number, newExportOfDay?: number) => {
    simulator.send({ advance, newExportOfDay } satisfies SimulatorMessage)
    clock.advance(advance)
  }
  // The day begins at midnight, by the clock of the schedules.
  pass(DAY_MS - (Date.now() % DAY_MS) - WARM_UP_MINUTES * MINUTE_MS)
  const settings = {
    RELAY_STORAGE: storage,
    AzureWebJobsStorage: storage,
    TASKHUB_NAME: 'DefenderRelayCost',
    DEFENDER_BASE_URL: `${origin}/defender`,
    MACHINE_ACTIONS_SCHEDULE: '0 * * * * *',
    INVESTIGATIONS_SCHEDULE: '20 * * * * *',
    AV_HEALTH_SCHEDULE: hours === 1 ? '0 15,45 * * * *' : '0 15 */12 * * *',
  }
  useOverrides({
    env: settings,
    clock,
    storageDate: (date) => new Date(date.getTime() + clock.offsetMs),
    credential: createSimulatorCredential(origin, clock),
    upstreamOrigin: origin,
    callbackPolicy: localCallbacks,
  })
  const meter = createMeter()
  const stopCounting = countRequests(storage)
  const keys = { master: 'cost-master-key', function: 'cost-function-key' }
  const host = await startHost({
    load: () => import('../../../functions/index.ts'),
    storage,
    hostJson: JSON.parse(readFileSync(new URL('../../../host.json', import.meta.url), 'utf8')),
    settings,
    port: 0,
    keys,
    clock,
    print: meter.print,
    observe: meter.observe,
  })
  const ask = async (path: string, body?: object): Promise<unknown> => {
    const response = await fetch(`${host.url}/api/${path}`, {
      method: body ? 'POST' : 'GET',
      headers: { 'x-functions-key': keys.function, 'content-type': 'application/json' },
      ...(body && { body: JSON.stringify(body) }),
    })
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
    return response.json()
  }
  try {
    const minute = async () => {
      for (const seconds of STEPS_S) {
        pass(seconds * SECOND_MS)
        await meter.quiet()
      }
    }
    await ask('subscriptions', { callbackUrl: `${origin}/receiver/cost` })
    const { runId } = runSchema.parse(await ask('av-health/exports', {}))
    for (let state = ''; state !== 'published'; ) {
      await meter.quiet()
      ;({ state } = runSchema.parse(await ask(`av-health/exports/${runId}`)))
    }
    for (let n = 0; n < WARM_UP_MINUTES; n++) await minute()
    const heads = async () => {
      const { events } = statusSchema.parse(await ask('status'))
      // Events about devices go only to those who ask for them.
      const { [AV_HEALTH]: _ofDevices, ...others } = events
      return Object.values(others).reduce((sum, { head }) => sum + head, 0)
    }
    const head = await heads()
    const before = await measureTables(storage)
    meter.reset()
    // The clock also runs by itself: what work takes here is a part of the day.
    const beginMs = clock.now().getTime()
    for (let exports = 0; clock.now().getTime() < beginMs + hours * HOUR_MS; ) {
      if (clock.now().getTime() >= beginMs + (exports * hours * HOUR_MS) / EXPORTS) {
        // The second one is of the next day.
        pass(0, exports)
        exports += 1
      }
      await minute()
    }
    const functions = structuredClone(meter.counts())
    const after = await measureTables(storage)
    const { runs } = runsSchema.parse(await ask(`av-health/exports?limit=${EXPORTS}`))
    const counted = runs.flatMap(({ changes }) => Object.values(changes?.counts ?? {}))
    const added = (...tables: string[]) =>
      tables.reduce((sum, name) => sum + (after[name] ?? 0) - (before[name] ?? 0), 0)
    return {
      devices,
      actionsPerHour,
      hours,
      events: (await heads()) - head,
      functions,
      transitions: counted.reduce((sum, count) => sum + count, 0),
      storedBytes: {
        snapshot: added('AvHealthSnapshot') / EXPORTS,
        conditions: before.AvHealthConditions ?? 0,
        devices: (before.AvHealthDevices ?? 0) + (before.AvHealthNames ?? 0),
        changes: added('AvHealthChanges', 'AvHealthRollups'),
        histories: added('AvHealthDevices', 'AvHealthNames'),
        other: added('other'),
      },
    }
  } finally {
    stopCounting()
    await host.stop()
    simulator.disconnect()
    await azurite.stop()
  }
}

const nothing = { executions: 0, cpuMs: 0, table: 0, queue: 0, call: 0, logLines: 0, logBytes: 0 }

/** Counts by function. The CPU time of this process is shared out equally among the functions that run at that moment. */
function createMeter() {
  let functions: Record<string, FunctionCounts> = {}
  const running: FunctionCounts[] = []
  let usedMs = cpuMs()
  const shareOut = () => {
    const nowMs = cpuMs()
    for (const one of running) one.cpuMs += (nowMs - usedMs) / running.length
    usedMs = nowMs
  }
  const of = (name: string) => {
    functions[name] ??= { ...nothing }
    return functions[name]
  }
  return {
    counts: () => functions,
    reset() {
      functions = {}
    },
    print(line: string) {
      const name = /^(?:\w+: )?\[([\w-]+)\] /.exec(line)?.[1]
      if (name === undefined) return
      const counts = of(name)
      counts.logLines += 1
      counts.logBytes += Buffer.byteLength(line)
    },
    async observe<T>(name: string, run: () => Promise<T>): Promise<T> {
      const counts = of(name)
      counts.executions += 1
      shareOut()
      running.push(counts)
      try {
        return await countInto(counts, run)
      } finally {
        shareOut()
        running.splice(running.indexOf(counts), 1)
      }
    },
    /** Waits until nothing runs; what is due now begins before. */
    async quiet() {
      for (let looks = 0; looks < 3; looks = running.length > 0 ? 0 : looks + 1)
        await new Promise((resolve) => setTimeout(resolve, 3))
    },
  }
}

function cpuMs() {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

/** The bytes of the tables of snapshots, all of a kind together, and of all others, but for the events about devices. */
async function measureTables(connectionString: string): Promise<Record<string, number>> {
  const options = { allowInsecureConnection: true }
  const service = TableServiceClient.fromConnectionString(connectionString, options)
  const bytes: Record<string, number> = {}
  for await (const { name = '' } of service.listTables()) {
    if (/^DefenderRelayCost/.test(name)) continue
    const [kind = 'other'] = /^AvHealth[A-Za-z]+/.exec(name) ?? []
    const table = TableClient.fromConnectionString(connectionString, name, options)
    for await (const entity of table.listEntities())
      if (entity.partitionKey !== AV_HEALTH) bytes[kind] = (bytes[kind] ?? 0) + sizeOf(entity)
  }
  return bytes
}

/**
 * The bytes for which a row is billed: 4, twice the length of its keys, and for each column 8, twice the length of its
 * name, and its value. https://learn.microsoft.com/azure/storage/common/storage-account-overview, "Understanding Windows
 * Azure Storage Billing".
 */
function sizeOf({ etag: _etag, timestamp: _time, ...entity }: Record<string, unknown>): number {
  const { partitionKey, rowKey, ...columns } = entity
  const keys = 2 * (String(partitionKey).length + String(rowKey).length)
  const values = Object.entries(columns).map(([name, value]) => {
    const size = { string: 4 + 2 * String(value).length, boolean: 1 }[String(typeof value)] ?? 8
    return 8 + 2 * name.length + size
  })
  return 4 + keys + values.reduce((sum, size) => sum + size, 0)
}
