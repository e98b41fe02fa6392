import type { Clock } from '../../../shared/platform/time.ts'
import {
  fillDefinition,
  fillSession,
  type GivenDefinition,
  type GivenSession,
  type ScanDefinition,
  type ScanSession,
} from './defender-scan.ts'
import { putSamples } from './sample-scans.ts'
import { createScanShelf, type ScanShelf } from './scan-shelf.ts'
import type { GivenTenableScan } from './tenable-scan.ts'
import { createTenableShelf, type TenableShelf } from './tenable-shelf.ts'

/** The routes of Tenable that have something to tell. */
export type TenableRoute = 'scans' | 'details' | 'history' | 'latest-status'
/** The routes of Defender's authenticated scans. */
export type DefenderScanRoute = 'definitions' | 'by-session' | 'by-definition'

/** What scans a tenant begins with. */
export interface ScanOptions {
  /** One of each kind; see `sample-scans.ts`. */
  samples: boolean
  definitions: GivenDefinition[]
  sessions: GivenSession[]
  tenable: GivenTenableScan[]
}

/** The scans of both upstreams, to look at and to change. */
export interface Scans {
  definitions: ScanShelf<GivenDefinition, ScanDefinition>
  sessions: ScanShelf<GivenSession, ScanSession>
  tenable: TenableShelf
  /** Calls of each route until now, refused ones included. */
  calls: Record<TenableRoute | DefenderScanRoute, number>
  /** What Tenable's callers called themselves. */
  userAgents: Set<string>
}

/** What the routes need of them. */
export interface ServedScans extends Scans {
  /** The key pair that opens Tenable. */
  keys: { accessKey: string; secretKey: string }
  /** Secret that the authentication of each definition holds. */
  canary: string
  /** Calls of Tenable that have not been answered yet. */
  callsUnderWay: number
}

// Always the same, so that another process, too, can call the simulator.
const simulatedSecrets = {
  keys: {
    accessKey: 'simulated-access-key-4d1f0c9a7b',
    secretKey: 'simulated-secret-key-e83b52c6d0',
  },
  canary: 'simulated-scan-password-96a7f3e1b2',
}

/** Makes the scans of a tenant. */
export function createScans(clock: Clock, given: Partial<ScanOptions> = {}): ServedScans {
  const { samples = true, definitions = [], sessions = [], tenable = [] } = given
  const scans: ServedScans = {
    definitions: createScanShelf(
      (one) => fillDefinition(one, simulatedSecrets.canary),
      ({ id }) => [id],
    ),
    sessions: createScanShelf(
      (one) => fillSession(one, clock),
      ({ id }) => [id],
    ),
    tenable: createTenableShelf(clock),
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
  if (samples) putSamples(scans, clock.now())
  for (const one of definitions) scans.definitions.put(one)
  for (const one of sessions) scans.sessions.put(one)
  for (const one of tenable) scans.tenable.put(one)
  return scans
}
