import type { Clock } from '../../../shared/platform/time.ts'
import { tickText } from '../moment.ts'
import { guid, hexText } from '../random.ts'

/** How a session or a target ended, as the metadata spells it; other words are carried as they are. */
export type ScanStatus = 'Success' | 'PartialSuccess' | 'Failure' | (string & {})

/** One target of a session. */
export interface ScannedTarget {
  ip: string
  hostname: string
  description: string
  error: string
  status: ScanStatus
  /** `hh:mm:ss`. */
  duration: string
}

/** One run of an authenticated scan. */
export interface ScanSession {
  /** 32 hexadecimal digits in the samples. */
  id: string
  definitionId: string
  scannerId: string
  status: ScanStatus
  /** RFC 3339 with up to seven fraction digits. */
  lastScanned: string
  targets: ScannedTarget[]
  generalError: string | null
}

/** What is scanned, with what, how often. */
export interface ScanDefinition {
  id: string
  scanName: string
  scanType: 'Windows' | 'Network' | (string & {})
  isActive: boolean
  /** Comma-separated. */
  target: string
  targetType: 'Ip' | 'Hostname' | 'Combined'
  intervalInHours: number
  /** Never leaves the product, whatever it holds. */
  scanAuthenticationParams: Record<string, unknown> | null
}

/** What a session is put there with. */
export type GivenSession = Partial<Omit<ScanSession, 'targets'>> & {
  id: string
  targets?: Partial<ScannedTarget>[]
}
/** What a definition is put there with. */
export type GivenDefinition = Partial<ScanDefinition> & { id: string }

const usualDefinition = '4ad8d463-6b3a-4894-b42a-a2de9ea0a8ae'
const usualScanner = `${guid(5, 55)}_${hexText(40, 5, 56)}`

/** Fills in what a session is put there without: it has just succeeded on one target. */
export function fillSession(given: GivenSession, clock: Clock): ScanSession {
  const { status = 'Success', targets = [{}] } = given
  return {
    definitionId: usualDefinition,
    scannerId: usualScanner,
    lastScanned: tickText({ ms: clock.now().getTime(), ticks: 5561 }),
    generalError: null,
    ...given,
    status,
    targets: targets.map((target, place) => ({
      ip: `127.0.0.${place + 1}`,
      hostname: `DESKTOP-Test${place === 0 ? '' : place + 1}`,
      description: `Network device${place === 0 ? '' : ` ${place + 1}`}`,
      error: (target.status ?? 'Success') === 'Success' ? '' : 'The target could not be reached.',
      status: 'Success',
      duration: '00:08:30',
      ...target,
    })),
  }
}

/** Fills in what a definition is put there without; its authentication holds the secret `canary`. */
export function fillDefinition(given: GivenDefinition, canary: string): ScanDefinition {
  return {
    scanName: `Scan of ${given.id}`,
    scanType: 'Network',
    isActive: true,
    target: '127.0.0.1,127.0.0.2',
    targetType: 'Ip',
    intervalInHours: 4,
    scanAuthenticationParams: {
      '@odata.type': '#microsoft.windowsDefenderATP.api.SnmpAuthParams',
      type: 'AuthPriv',
      username: 'scanner',
      authProtocol: 'MD5',
      authPassword: canary,
      privProtocol: 'AES',
      privPassword: canary,
      communityString: canary,
    },
    ...given,
  }
}
