import type { ScannedTarget, ScanSession } from './defender-scan.ts'

/**
 * How a scan history is written: as in the sample of either page, as the service's metadata declares it, or with one
 * target as an object in place of a list.
 */
export type HistoryShape =
  | 'documented'
  | 'session-sample'
  | 'definition-sample'
  | 'metadata'
  | 'one-target'

/** What rows are written with. */
export interface Spelling {
  shape: Exclude<HistoryShape, 'documented'>
  words: 'spaced' | 'joined'
  orgId: string
}

/** The body of an answer with these sessions. */
export function spellHistory(context: string, sessions: ScanSession[], spelling: Spelling): string {
  const value = sessions.map((one) => spellRow(one, spelling))
  return JSON.stringify({ '@odata.context': context, value })
}

function spellRow(session: ScanSession, spelling: Spelling): Record<string, unknown> {
  const { shape, words, orgId } = spelling
  const status = word(session.status, words)
  if (shape === 'definition-sample') {
    return {
      ScanDefinitionIds: session.definitionId,
      LastScanned: session.lastScanned,
      ScanStatus: status,
      ScannerId: session.scannerId,
    }
  }
  if (shape === 'metadata') return declaredRow(session, spelling)
  const targets = session.targets.map((target) => sampleTarget(target, words))
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

/** There is no time in it. */
function declaredRow(session: ScanSession, { words, orgId }: Spelling): Record<string, unknown> {
  return {
    orgId,
    scanDefinitionId: session.definitionId,
    sessionId: session.id,
    scannerId: session.scannerId,
    numberOfSuccessfullyScannedTargets: succeeded(session),
    numberOfTargets: session.targets.length,
    scanStatus: word(session.status, words),
    generalErrorMessage: session.generalError,
    scannedTargets: session.targets.map((target) => ({
      ip: target.ip,
      hostname: target.hostname,
      scannedDeviceDescription: target.description,
      errorMessage: target.error,
      scanStatus: target.status,
      // A time of day, with as many digits as a tick needs.
      scanDuration: `${target.duration}.0000000`,
    })),
  }
}

function sampleTarget(target: ScannedTarget, words: Spelling['words']): Record<string, unknown> {
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

const word = (status: string, words: Spelling['words']) =>
  words === 'spaced' ? status.replace(/(?<=[a-z])(?=[A-Z])/g, ' ') : status
