import type { FunctionCounts, Play } from './play.ts'
import { free, prices } from './prices.ts'
import type { TemplateFacts } from './template-facts.ts'

/** Plays of a tenant of 10,000 devices, in full, and of one with the changes of 1,000,000 devices and a part of these. */
export interface Counts {
  playedOn: string
  small: Play
  large: Play
}

/** A tenant whose month is computed. */
export interface Tenant {
  name: string
  devices: number
  /** Megabytes of an instance. */
  memory: number
  isPrivate: boolean
}

export interface Line {
  part: string
  quantity: string
  dollars: number
}

export const DAYS = 30
const MINUTES = DAYS * 24 * 60
/** Exports of a day; those of a play also where only an hour of it is played. */
export const EXPORTS = 2
/** Snapshots whose conditions are stored. */
const CONDITIONS_OF = 2
/** How long changes and histories are stored. */
export const CHANGES_DAYS = 90
export const HISTORY_DAYS = 400
/** Assumed, since no tenant was there: how long a call to an upstream, a post and a request to storage take. */
export const CALL_S = 0.5
export const POST_S = 0.3
export const STORAGE_S = 0.01
/** Waits of a function that pass together: two posts of a subscription, eight batches of an import. */
const AT_ONCE: Record<string, number> = { 'deliver-event': 2, 'import-file': 8 }
/** Azure stores more than the text of a line: columns for the function, the instance and the trace. */
export const LINE_BYTES = 1200
/** Lines of the host and the record of the request, for each execution. */
export const LINES_AN_EXECUTION = 3

/**
 * What the platform asks storage for, by public reports, since the embedded host does not do it:
 * azure-functions-durable-extension issue 391 (the scale controller asks each queue for its length and first message, and
 * reads a blob of the hub three times, each ten seconds), azure-functions-host issue 11930 (a running instance renews the
 * host's lease five times a minute on this plan), azure-webjobs-sdk issue 665 (the lock of a timer, valid for 60 s, is
 * renewed after half of it). A timer stores when it ran.
 */
export const platform = {
  looksAMinute: 6,
  requestsAQueue: 2,
  hubBlobReads: 3,
  hostLeases: 5,
  timerLocks: 2,
  /** The two polls and `dispatch-events` run each minute, so each has an instance all the time. */
  timerInstances: 3,
  /** Queue messages and rows of the hub, for each execution of an orchestration or an activity. */
  hubRequests: 10,
  /** An instance with a queue trigger asks on for a minute after its last message. */
  idleMinutes: 1,
}

const isExport = (name: string) =>
  /^(?:export-|begin-|import-file|renew-links|compare-slice|publish-run|write-parquet)/.test(name)
const isTimer = (name: string) =>
  /^(?:poll-|dispatch-events|resume-exports|housekeeping|export-av)/.test(name)
const isDurable = (name: string) => isExport(name) && name !== 'export-av-health'

/** The counts of a day of a tenant, by function. Only counts of exports grow with devices; the others grow with changes. */
export function dayOf({ small, large }: Counts, devices: number): Record<string, FunctionCounts> {
  const play = devices > small.devices ? large : small
  const exports = devices / play.devices
  return Object.fromEntries(
    Object.entries(play.functions).map(([name, counts]) => [
      name,
      scale(counts, isExport(name) ? exports : 24 / play.hours),
    ]),
  )
}

const scale = (counts: FunctionCounts, by: number) =>
  Object.fromEntries(
    Object.entries(counts).map(([name, value]) => [name, value * by]),
  ) as unknown as FunctionCounts

/** The seconds that a function is billed for, at least one for each execution. */
export function billedSeconds(name: string, counts: FunctionCounts, memory: number): number {
  const { executions, cpuMs, table, queue, call } = counts
  const cores = memory / 2048
  const calls = call * (name === 'deliver-event' ? POST_S : CALL_S)
  const waits = ((table + queue) * STORAGE_S + calls) / (AT_ONCE[name] ?? 1)
  const work = cpuMs / 1000 / cores + waits
  // Billed in steps of a tenth of a second.
  return executions * Math.max(1, Math.ceil((work / executions) * 10) / 10)
}

/** A month of a tenant, part by part. */
export function monthOf(counts: Counts, facts: TemplateFacts, tenant: Tenant): Line[] {
  const day = Object.entries(dayOf(counts, tenant.devices))
  const total = (count: (counts: FunctionCounts, name: string) => number) =>
    DAYS * day.reduce((sum, [name, counts]) => sum + count(counts, name), 0)
  const executions = total((one) => one.executions)
  const gbSeconds =
    (total((one, name) => billedSeconds(name, one, tenant.memory)) * tenant.memory) / 1024
  const hub = total((one, name) => (isDurable(name) ? one.executions * platform.hubRequests : 0))
  const table = total((one) => one.table) + hub
  const wakes = total((one, name) => (name === 'deliver-event' ? one.executions : 0))
  const { looksAMinute, requestsAQueue, hubBlobReads, timerInstances } = platform
  const looks = MINUTES * looksAMinute * (facts.queues + facts.hubQueues) * requestsAQueue
  const idlePolls = (Math.min(wakes * platform.idleMinutes, MINUTES) * 60) / facts.pollSeconds
  // Sent, received, deleted.
  const queue = looks + idlePolls + 3 * wakes + hub
  const blobs =
    MINUTES *
    (looksAMinute * hubBlobReads + timerInstances * (platform.hostLeases + platform.timerLocks))
  const timerRuns = total((one, name) => (isTimer(name) ? one.executions : 0))
  const storedGb = storedBytes(counts, tenant.devices) / 1e9
  const logGb =
    total(
      (one) => one.logBytes + (one.logLines + one.executions * LINES_AN_EXECUTION) * LINE_BYTES,
    ) / 1e9
  const rules = facts.rules.map((frequency) => ruleDollars(frequency))
  const { gbSecond, execution, logGb: log } = prices
  return [
    {
      part: 'computing',
      quantity: `${number(gbSeconds)} GB-seconds at ${tenant.memory} MB`,
      dollars: Math.max(0, gbSeconds - free.gbSeconds) * gbSecond.dollars,
    },
    {
      part: 'executions',
      quantity: number(executions),
      dollars: (Math.max(0, executions - free.executions) / 1e6) * execution.dollars,
    },
    { part: 'table operations', quantity: number(table), dollars: per10k(table, prices.table) },
    { part: 'queue operations', quantity: number(queue), dollars: per10k(queue, prices.queue) },
    {
      part: 'blob operations',
      quantity: `${number(timerRuns)} writes, ${number(blobs)} others`,
      dollars: per10k(timerRuns, prices.blobWrite) + per10k(blobs, prices.blobOther),
    },
    {
      part: 'stored in tables',
      quantity: `${storedGb.toFixed(1)} GB`,
      dollars: storedGb * prices.tableGb.dollars,
    },
    {
      part: 'logs',
      quantity: `${logGb.toFixed(1)} GB`,
      dollars: Math.max(0, logGb - free.logGb) * log.dollars,
    },
    {
      part: 'alert rules',
      quantity: `${rules.length}`,
      dollars: rules.reduce((sum, dollars) => sum + dollars, 0),
    },
    ...(tenant.isPrivate ? privateLines(facts) : []),
  ]
}

function privateLines({ endpoints }: TemplateFacts): Line[] {
  const zones = 5
  return [
    {
      part: 'private endpoints and DNS zones',
      quantity: `${endpoints} and ${zones}`,
      dollars: endpoints * prices.endpoint.dollars + zones * prices.zone.dollars,
    },
    {
      part: 'NAT gateway with its address',
      quantity: '1',
      dollars: prices.nat.dollars + prices.address.dollars,
    },
  ]
}

/** Of changes and histories when they are as old as they get. */
export const transitionBytes = ({ changes, histories }: Play['storedBytes']): number =>
  changes * CHANGES_DAYS + histories * HISTORY_DAYS

/**
 * What is stored when histories are as old as they get. What exports write grows with devices; events, items and deliveries
 * grow with changes: a month of them, at most.
 */
function storedBytes({ small, large }: Counts, devices: number): number {
  const { storedBytes: bytes, hours, devices: played } = devices > small.devices ? large : small
  const ofExports =
    bytes.snapshot * EXPORTS * DAYS +
    bytes.conditions * CONDITIONS_OF +
    bytes.devices +
    transitionBytes(bytes)
  return (ofExports / played) * devices + ((bytes.other * 24) / hours) * DAYS
}

/** The rules are billed by how often they are evaluated. */
function ruleDollars(frequency: string): number {
  const [, count, unit] = /^(\d+)([MH])$/.exec(frequency) ?? []
  const minutes = Number(count) * (unit === 'H' ? 60 : 1)
  if (!minutes || minutes < 5) throw new Error(`the price of a rule each ${frequency} is not known`)
  return (minutes < 10 ? prices.rule5 : minutes < 15 ? prices.rule10 : prices.rule15).dollars
}

const per10k = (count: number, { dollars }: { dollars: number }) => (count / 10_000) * dollars

/** A count with three digits that mean something. */
export function number(value: number): string {
  const step = 10 ** Math.max(0, Math.floor(Math.log10(Math.max(1, value))) - 2)
  return (Math.round(value / step) * step).toLocaleString('en')
}
