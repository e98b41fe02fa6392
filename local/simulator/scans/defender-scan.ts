import type { Clock } from '../../../shared/platform/time.ts'
import type { HistoryShape } from '../faults.ts'
import { tickText } from '../moment.ts'
import { guid, hexText } from '../random.ts'

/** How a session or a target ended, in the words of the metadata; other words stay as they are. */
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

/** A definition: what is scanned, how, and how often. */
export interface ScanDefinition {
  id: string
  scanName: string
  scanType: 'Windows' | 'Network' | (string & {})
  isActive: boolean
  /** Comma-separated. */
  target: string
  targetType: 'Ip' | 'Hostname' | 'Combined'
  intervalInHours: number
  /** Holds secrets: the product must never answer or log it. */
  scanAuthenticationParams: Record<string, unknown> | null
}

/** The fields of a session to add; all but the id are optional. */
export type NewSession = Partial<Omit<ScanSession, 'targets'>> & {
  id: string
  targets?: Partial<ScannedTarget>[]
}
/** The fields of a definition to add; all but the id are optional. */
export type NewDefinition = Partial<ScanDefinition> & { id: string }

const usualDefinition = '4ad8d463-6b3a-4894-b42a-a2de9ea0a8ae'
const usualScanner = `${guid(5, 55)}_${hexText(40, 5, 56)}`

/** Fills in the missing fields of a session: by default it has just succeeded on one target. */
export function fillSession(partial: NewSession, clock: Clock): ScanSession {
  const { status = 'Success', targets = [{}] } = partial
  return {
    definitionId: usualDefinition,
    scannerId: usualScanner,
    lastScanned: tickText({ ms: clock.now().getTime(), ticks: 5561 }),
    generalError: null,
    ...partial,
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

/** Fills in the missing fields of a definition; its authentication holds the secret `canary`. */
export function fillDefinition(partial: NewDefinition, canary: string): ScanDefinition {
  return {
    scanName: `Scan of ${partial.id}`,
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
    ...partial,
  }
}

/** A definition as the list of definitions has it, with the newest of all these sessions and its scanner. */
export function encodeDefinition(
  definition: ScanDefinition,
  sessions: ScanSession[],
  orgId: string,
): Record<string, unknown> {
  const newest = sessions
    .filter(({ definitionId }) => definitionId === definition.id)
    .sort((a, b) => b.lastScanned.localeCompare(a.lastScanned))[0]
  const machineId = hexText(40, 1, 59)
  return {
    ...definition,
    orgId,
    createdBy: 'scans@contoso.example',
    latestScan: newest
      ? {
          status: newest.status === 'Failure' ? 'Fail' : 'Success',
          failureReason: newest.generalError,
          executionDateTime: newest.lastScanned,
        }
      : null,
    scannerAgent: {
      id: `${orgId}_${machineId}`,
      machineId,
      machineName: 'scanner.contoso.example',
      lastSeen: newest?.lastScanned ?? null,
      // The samples write this name in different ways.
      AssignedApplicationId: '4c1e5b2a-9d0f-4a77-8e11-3b6c0d5f7a90',
      scannerSoftwareVersion: '7.1.1.0',
      lastCommandExecutionTimestamp: newest?.lastScanned ?? null,
      mdeClientVersion: '10.8295.22621.1019',
    },
  }
}

/** How rows are written. */
export interface HistoryFormat {
  shape: Exclude<HistoryShape, 'documented'>
  words: 'spaced' | 'joined'
  orgId: string
  /** How many targets of a session are listed; all are counted. */
  listed: number
}

/** The body of an answer with these sessions. */
export function encodeHistory(
  context: string,
  sessions: ScanSession[],
  format: HistoryFormat,
): string {
  const value = sessions.map((one) => encodeRow(one, format))
  return JSON.stringify({ '@odata.context': context, value })
}

function encodeRow(session: ScanSession, format: HistoryFormat): Record<string, unknown> {
  const { shape, words, orgId } = format
  const status = word(session.status, words)
  if (shape === 'definition-sample') {
    return {
      ScanDefinitionIds: session.definitionId,
      LastScanned: session.lastScanned,
      ScanStatus: status,
      ScannerId: session.scannerId,
    }
  }
  if (shape === 'metadata') return declaredRow(session, format)
  const targets = session.targets
    .slice(0, format.listed)
    .map((target) => sampleTarget(target, words))
  return {
    orgId,
    ScanDefinitionIds: session.definitionId,
    SessionIds: session.id,
    NumberOfSuccessfullyScannedTargets: succeeded(session),
    NumberOfTargets: session.targets.length,
    ScanStatus: status,
    LastScanned: session.lastScanned,
    ListScannedTargets: shape === 'one-target' ? (targets[0] ?? null) : targets,
  }
}

/** A row without any time. */
function declaredRow(
  session: ScanSession,
  { words, orgId, listed }: HistoryFormat,
): Record<string, unknown> {
  return {
    orgId,
    scanDefinitionId: session.definitionId,
    sessionId: session.id,
    scannerId: session.scannerId,
    numberOfSuccessfullyScannedTargets: succeeded(session),
    numberOfTargets: session.targets.length,
    scanStatus: word(session.status, words),
    generalErrorMessage: session.generalError,
    scannedTargets: session.targets.slice(0, listed).map((target) => ({
      ip: target.ip,
      hostname: target.hostname,
      scannedDeviceDescription: target.description,
      errorMessage: target.error,
      scanStatus: target.status,
      // A time of day with seven fraction digits.
      scanDuration: `${target.duration}.0000000`,
    })),
  }
}

function sampleTarget(
  target: ScannedTarget,
  words: HistoryFormat['words'],
): Record<string, unknown> {
  return {
    Ip: target.ip,
    Hostname: target.hostname,
    ScannedDeviceDescription: target.description,
    ErrorMessage: target.error,
    ScanStatus: word(target.status, words),
    ScanDuration: target.duration,
  }
}

const succeeded = ({ targets }: ScanSession) =>
  targets.filter(({ status }) => status === 'Success').length

const word = (status: string, words: HistoryFormat['words']) =>
  words === 'spaced' ? status.replace(/(?<=[a-z])(?=[A-Z])/g, ' ') : status
