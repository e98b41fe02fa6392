import type { Clock } from '../../../shared/platform/time.ts'
import {
  fillDefinition,
  fillSession,
  type NewDefinition,
  type NewSession,
  type ScanDefinition,
  type ScanSession,
} from './defender-scan.ts'
import { sampleScans } from './sample-scans.ts'
import {
  fillTenableScan,
  findRun,
  type NewTenableScan,
  runNow,
  type TenableRun,
  type TenableScan,
} from './tenable-scan.ts'

/** The routes of Tenable that are served. */
export type TenableRoute = 'scans' | 'details' | 'history' | 'latest-status'
/** The routes of Defender's authenticated scans. */
export type DefenderScanRoute = 'definitions' | 'by-session' | 'by-definition'

/** The scans of a tenant at the start. */
export interface ScanOptions {
  /** One of each kind; see `sample-scans.ts`. */
  samples: boolean
  definitions: NewDefinition[]
  sessions: NewSession[]
  tenable: NewTenableScan[]
}

/** The scans of both upstreams: tests read and change them. */
export interface Scans {
  definitions: ScanStore<NewDefinition, ScanDefinition>
  sessions: ScanStore<NewSession, ScanSession>
  tenable: TenableStore
  /** Number of calls of each route until now, refused ones included. */
  calls: Record<TenableRoute | DefenderScanRoute, number>
  /** The `User-Agent` of each of Tenable's callers. */
  userAgents: Set<string>
}

/** What the routes need. */
export interface ServedScans extends Scans {
  /** The key pair that gives access to Tenable. */
  keys: { accessKey: string; secretKey: string }
  /** Secret that the authentication of each definition holds. */
  canary: string
  /** Calls of Tenable that have not been answered yet. */
  callsUnderWay: number
}

// Always the same, so that another process can call the simulator too.
const simulatedSecrets = {
  keys: {
    accessKey: 'simulated-access-key-4d1f0c9a7b',
    secretKey: 'simulated-secret-key-e83b52c6d0',
  },
  canary: 'simulated-scan-password-96a7f3e1b2',
}

/** Makes the scans of a tenant. */
export function createScans(clock: Clock, partial: Partial<ScanOptions> = {}): ServedScans {
  const { samples = true, definitions = [], sessions = [], tenable = [] } = partial
  const scans: ServedScans = {
    definitions: createScanStore(
      (one) => fillDefinition(one, simulatedSecrets.canary),
      ({ id }) => [id],
    ),
    sessions: createScanStore(
      (one) => fillSession(one, clock),
      ({ id }) => [id],
    ),
    tenable: createTenableStore(clock),
    calls: {
      scans: 0,
      details: 0,
      history: 0,
      'latest-status': 0,
      definitions: 0,
      'by-session': 0,
      'by-definition': 0,
    },
    userAgents: new Set(),
    ...simulatedSecrets,
    callsUnderWay: 0,
  }
  const beginnings = [{ definitions, sessions, tenable }]
  if (samples) beginnings.unshift(sampleScans(clock.now()))
  for (const beginning of beginnings) {
    for (const one of beginning.definitions) scans.definitions.put(one)
    for (const one of beginning.sessions) scans.sessions.put(one)
    for (const one of beginning.tenable) scans.tenable.put(one)
  }
  return scans
}

/** The scans of one kind in a tenant, in the order in which they were added. */
export interface ScanStore<New, Stored extends New> {
  /** Adds one now; missing fields are filled in. Replaces one with the same id. */
  put(partial: New): Stored
  /** Changes one now; its other fields stay. */
  change(id: string | number, patch: Partial<New>): Stored
  remove(id: string | number): void
  get(id: string | number): Stored | undefined
  all(): Stored[]
}

/** Makes a store. `fill` adds missing fields and does not change a complete item. The first of `idsOf` is the key. */
export function createScanStore<New, Stored extends New>(
  fill: (partial: New) => Stored,
  idsOf: (stored: Stored) => (string | number)[],
): ScanStore<New, Stored> {
  const stored = new Map<string, Stored>()
  const keyOf = (one: Stored) => String(idsOf(one)[0])
  const get = (id: string | number) =>
    stored.get(String(id)) ?? [...stored.values()].find((one) => idsOf(one).includes(String(id)))
  const put = (partial: New) => {
    const one = fill(partial)
    stored.set(keyOf(one), one)
    return one
  }
  const present = (id: string | number) => {
    const one = get(id)
    if (!one) throw new Error(`There is no scan ${id}.`)
    return one
  }
  return {
    put,
    change: (id, patch) => put({ ...present(id), ...patch }),
    remove: (id) => stored.delete(keyOf(present(id))),
    get,
    all: () => [...stored.values()],
  }
}

/** Tenable's scans, found by number or by `schedule_uuid`; tests can change their runs. */
export interface TenableStore extends ScanStore<NewTenableScan, TenableScan> {
  /** Starts a new run now. */
  startRun(id: string | number, partial?: Partial<TenableRun>): TenableRun
  /** Changes a run now, the newest one by default. A new status starts or ends it and cancels its future steps. */
  changeRun(id: string | number, patch: Partial<TenableRun>, run?: string | number): TenableRun
}

/** Makes the store of Tenable scans. */
export function createTenableStore(clock: Clock): TenableStore {
  const store = createScanStore(
    (partial: NewTenableScan) => fillTenableScan(partial, clock),
    ({ id, scheduleUuid }: TenableScan) => [id, scheduleUuid],
  )
  function runOf(id: string | number, run: string | number | null = null) {
    const scan = store.get(id)
    const found = scan && findRun(scan, run === null ? null : String(run))
    if (!scan || !found) throw new Error(`There is no such run of scan ${id}.`)
    return { scan, found }
  }
  return {
    ...store,
    startRun(id, partial = {}) {
      const startedAt = clock.now().toISOString()
      store.change(id, {
        runs: [...(store.get(id)?.runs ?? []), { status: 'running', startedAt, ...partial }],
      })
      return runOf(id).found
    },
    changeRun(id, patch, run) {
      const { scan, found } = runOf(id, run)
      const now = clock.now()
      const { status, endedAtMs } = runNow(found, now)
      const changed = { ...found, status, steps: [], ...patch }
      const after = runNow(changed, now)
      const starts = after.startedAtMs === null && after.status !== 'pending'
      const ends = after.isOver && endedAtMs === null
      const next = {
        ...changed,
        startedAt: starts ? now.toISOString() : changed.startedAt,
        endedAt: ends ? now.toISOString() : changed.endedAt,
        ...patch,
      }
      store.change(id, { runs: scan.runs.map((one) => (one === found ? next : one)) })
      return runOf(id, next.id).found
    },
  }
}
