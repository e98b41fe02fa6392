import { once } from 'node:events'
import type { Shape } from './files.ts'
import type { Asked } from './lists.ts'

/** What one process does; `origin` is that of its table server. */
export interface CaseOptions {
  what: keyof typeof works
  shape?: Shape
  /** The file to import or to take rows from. */
  rows: number
  /** The files of an export. */
  files?: number
  /** How often something is asked for or run. */
  times?: number
  buckets?: number
  inFlight?: number
  /** Keeps to the published rates of the service, as the app does; else only the machine is the limit. */
  paced?: boolean
  /** A connection string, instead of the server's. */
  storage?: string
}

export interface CaseResult {
  rows: number
  ms: number
  cpuMs: number
  rssMiB: number
  /** Peak memory of the second half of the time by that of the first. */
  growth?: number
  /** Requests of a poll for the standing of devices, which `requests` does not have. */
  standingRequests?: number
  p95Ms?: number
  p99Ms?: number
  asked?: Asked[]
}

/** Does the work; `begin` marks the end of its preparation. Answers its requests where not all of the process count. */
export type Work = (
  options: Required<CaseOptions> & { origin: string },
  begin: () => void,
) => Promise<unknown>

const works = {
  import: async () => (await import('./product.ts')).importRows,
  write: async () => (await import('./product.ts')).writeRows,
  'write-columns': async () => (await import('./product.ts')).writeColumns,
  sketch: async () => (await import('./sketch.ts')).sketch,
  'submit-transaction': async () => (await import('./rivals.ts')).submitOnly,
  'whole-file': async () => (await import('./rivals.ts')).wholeFile,
  'row-by-row': async () => (await import('./rivals.ts')).rowByRow,
  'poll-cold': async () => (await import('./poll.ts')).pollCold,
  'poll-warm': async () => (await import('./poll.ts')).pollWarm,
  'point-reads': async () => (await import('./poll.ts')).pointReads,
  fleet: async () => (await import('./fleet.ts')).runFleet,
  lookups: async () => (await import('./lookup.ts')).lookups,
  deliver: async () => (await import('./deliveries.ts')).deliver,
  'join-pages': async () => (await import('./join.ts')).joinPages,
  'join-sdk': async () => (await import('./join.ts')).joinSdk,
} satisfies Record<string, () => Promise<Work>>

if (import.meta.main) {
  const given: CaseOptions = JSON.parse(process.argv[2] ?? '{}')
  const isReady = once(process, 'message')
  const work = await works[given.what]()
  const [{ origin, storage }] = (await isReady) as [{ origin: string; storage?: string }]
  const account = `DefaultEndpointsProtocol=http;AccountName=bench;AccountKey=YmVuY2g=;TableEndpoint=${origin}/bench`
  const options = {
    shape: 'paged' as const,
    buckets: 16,
    inFlight: 8,
    files: 1,
    times: 0,
    paced: false,
    storage: storage ?? account,
    origin,
    ...given,
  }
  let startedMs = performance.now()
  let cpu = process.cpuUsage()
  const more = await work(options, () => {
    startedMs = performance.now()
    cpu = process.cpuUsage()
  })
  const { user, system } = process.cpuUsage(cpu)
  const result: CaseResult = {
    rows: options.rows,
    ms: performance.now() - startedMs,
    cpuMs: (user + system) / 1000,
    rssMiB: process.resourceUsage().maxRSS / 1024,
    ...(more as Partial<CaseResult> | undefined),
  }
  process.send?.(result)
}
