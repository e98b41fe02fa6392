import { ShapeError } from '../../platform/errors.ts'
import { toTimeText } from '../../platform/time.ts'
import type { UpstreamHealth } from '../../platform/upstream-health.ts'
import type { DefenderScans } from '../../upstreams/defender-scans.ts'
import { countOf, rowsOf, textOf } from '../fields.ts'
import type { Completeness, Fetched, Query, Scan, ScanState, Target } from '../source.ts'

/** What Defender can be asked for. */
export interface DefenderSource {
  sessions: Query
  /** Every definition; the id plays no part. */
  definitions: Query
  /** A page of the sessions of a definition; the part is `<limit>-<offset>`. */
  sessionsOfDefinition: Query
}

type Row = Record<string, unknown>

/** Makes the source that Defender is; `over` notes how its calls go. */
export function createDefenderSource(
  scans: DefenderScans,
  over: UpstreamHealth['track'],
): DefenderSource {
  return {
    sessions: {
      kind: 'defender-session',
      async fetch(ids) {
        const { rows = [] } = (await over(() => scans.historyOfSessions(ids))) ?? {}
        const found = ids.map((id) => [id, sessionFrom(rowsAbout(id, ids, rows), id)] as const)
        return new Map(found.flatMap(([id, session]) => (session ? [[id, session]] : [])))
      },
    },
    definitions: {
      kind: 'defender-definitions',
      async fetch([id = '']) {
        const { rows = [] } = (await over(() => scans.definitions())) ?? {}
        const definitions = rows
          .map(readDefinition)
          .sort((a, b) => ((a.id ?? '') < (b.id ?? '') ? -1 : 1))
        return new Map([[id, { answer: { definitions }, raw: rows, final: false }]])
      },
    },
    sessionsOfDefinition: {
      kind: 'defender-definition',
      async fetch([id = ''], part) {
        const [limit = 0, offset = 0] = part.split('-').map(Number)
        // One more than wanted tells whether there is a next page.
        const { rows = [] } =
          (await over(() => scans.historyOfDefinition(id, { top: limit + 1, skip: offset }))) ?? {}
        const sessions = rows.slice(0, limit).map((row) => readHistoryRow(row, id))
        const answer = { sessions, next: rows.length > limit ? offset + limit : null }
        return new Map([[id, { answer, raw: rows.slice(0, limit), final: false }]])
      },
    },
  }
}

/** Ids may be written with dashes, and in capitals. */
const plain = (id: string) => id.replaceAll('-', '').toLowerCase()

function rowsAbout(id: string, ids: readonly string[], rows: Row[]): Row[] {
  if (ids.length > 1 && rows.some((row) => sessionOf(row) === null)) {
    throw new ShapeError(
      'defender',
      'POST GetScanHistoryBySessionId',
      'rows of several sessions that do not name theirs',
    )
  }
  return rows.filter((row) => plain(sessionOf(row) ?? id) === plain(id))
}

function sessionFrom(rows: Row[], id: string): Fetched | undefined {
  const scans = rows.map((row) => readHistoryRow(row, id)).sort(newestFirst)
  const [newest] = scans
  if (!newest) return undefined
  if (scans.length === 1)
    return { answer: { ...newest, id }, raw: rows[0], final: isOver(newest.state) }
  const reason = `Defender gave ${scans.length} rows for this session; this is the newest.`
  const completeness = {
    kind: 'partial' as const,
    reason,
    whereElse: 'The same address with ?raw=true has them all.',
  }
  return {
    answer: { ...newest, id, completeness },
    raw: rows,
    final: scans.every(({ state }) => isOver(state)),
  }
}

const newestFirst = (a: Scan, b: Scan) =>
  (a.lastScannedAt ?? '') > (b.lastScannedAt ?? '') ? -1 : 1

/** Fields by their names in lower case: samples and metadata disagree on case, number and prefix. */
type Fields = Map<string, unknown>

const fieldsIn = (row: Record<string, unknown>): Fields =>
  new Map(Object.entries(row).map(([name, value]) => [name.toLowerCase(), value]))

/** The first of several names that has a value; of a list with one entry that one. */
function get(fields: Fields, ...names: string[]): unknown {
  const value = names
    .map((name) => fields.get(name.toLowerCase()))
    .find((known) => known !== undefined && known !== null)
  return Array.isArray(value) && value.length === 1 && typeof value[0] !== 'object'
    ? value[0]
    : value
}

const states = new Map<string, ScanState>(
  Object.entries({
    success: 'completed',
    succeeded: 'completed',
    completed: 'completed',
    partialsuccess: 'partial',
    partiallysucceeded: 'partial',
    failure: 'failed',
    fail: 'failed',
    failed: 'failed',
    error: 'failed',
    cancelled: 'canceled',
    canceled: 'canceled',
    inprogress: 'running',
    running: 'running',
    pending: 'pending',
    queued: 'pending',
    notstarted: 'pending',
  } as const),
)

/** Defender's word for how a run or a target stands, in ours. */
const stateOf = (word: unknown): ScanState =>
  states.get(
    String(word ?? '')
      .toLowerCase()
      .replace(/[\s_-]/g, ''),
  ) ?? 'unknown'

const over = new Set<ScanState>(['completed', 'partial', 'failed', 'canceled'])

/** Whether a run is over: nothing about it will change any more. */
export const isOver = (state: ScanState): boolean => over.has(state)

/** The session that a row tells of; null where it does not say. */
export const sessionOf = (row: Record<string, unknown>): string | null =>
  textOf(get(fieldsIn(row), 'sessionId', 'SessionIds'))

/**
 * A row of the history in our shape, whichever of its documented shapes it has. `id` is what was asked for where the row
 * does not name its session. https://learn.microsoft.com/defender-endpoint/api/get-scan-history-by-session
 */
export function readHistoryRow(row: Record<string, unknown>, id: string): Scan {
  const fields = fieldsIn(row)
  const session = sessionOf(row)
  const word = textOf(get(fields, 'ScanStatus'))
  const state = stateOf(word)
  const targets = targetsOf(get(fields, 'scannedTargets', 'ListScannedTargets'))
  const time = textOf(get(fields, 'LastScanned'))
  const succeeded = countOf(get(fields, 'NumberOfSuccessfullyScannedTargets'))
  const total = countOf(get(fields, 'NumberOfTargets'))
  const counted = (wanted: ScanState) =>
    targets?.filter((target) => target.state === wanted).length ?? null
  const errorMessage = textOf(get(fields, 'generalErrorMessage'))
  const known = { state, word, targets, total: total ?? targets?.length ?? null, errorMessage }
  return {
    source: 'defender',
    id: session ?? id,
    run: session ? { id: session, number: null } : null,
    definitionId: textOf(get(fields, 'scanDefinitionId', 'ScanDefinitionIds')),
    scannerId: textOf(get(fields, 'ScannerId')),
    orgId: textOf(get(fields, 'orgId')),
    name: null,
    state,
    upstreamState: word,
    startedAt: null,
    endedAt: null,
    lastScannedAt: time === null ? null : (toTimeText(time) ?? null),
    counts: {
      targets: known.total,
      succeeded: succeeded ?? counted('completed'),
      failed:
        counted('failed') ?? (total !== null && succeeded !== null ? total - succeeded : null),
      critical: null,
      high: null,
      medium: null,
      low: null,
      info: null,
    },
    targets,
    completeness: completenessOf(known, session),
    errorMessage,
  }
}

function targetsOf(value: unknown): Target[] | null {
  if (value === undefined) return null
  return (rowsOf(value) ?? rowsOf([value]) ?? []).map((row) => {
    const fields = fieldsIn(row)
    return {
      ip: textOf(get(fields, 'Ip')),
      hostname: textOf(get(fields, 'Hostname')),
      description: textOf(get(fields, 'ScannedDeviceDescription')),
      state: stateOf(get(fields, 'ScanStatus')),
      error: textOf(get(fields, 'ErrorMessage')),
      durationSeconds: secondsOf(get(fields, 'ScanDuration')),
      severities: null,
    }
  })
}

/** `00:08:30`, with a fraction or with days (`1.02:00:00`) too. */
function secondsOf(value: unknown): number | null {
  const [, days = '0', hours, minutes, seconds] =
    /^(?:(\d+)\.)?(\d+):(\d{2}):(\d{2}(?:\.\d+)?)$/.exec(String(value)) ?? []
  if (hours === undefined) return null
  return Number(days) * 86_400 + Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)
}

const NOWHERE = 'Nowhere: Defender gives no more.'

interface Known {
  state: ScanState
  word: string | null
  targets: Target[] | null
  total: number | null
  errorMessage: string | null
}

function completenessOf(
  { state, word, targets, total, errorMessage }: Known,
  session: string | null,
): Completeness {
  const bySession = session ? `GET /api/scan-history/defender/sessions/${session}` : NOWHERE
  if (state === 'running' || state === 'pending') {
    return {
      kind: 'running',
      reason: `The run is not over: it is ${word}.`,
      whereElse: 'Ask again later.',
    }
  }
  if (state === 'unknown') {
    return {
      kind: 'partial',
      reason: `The state ${word ?? '(none)'} is not known here.`,
      whereElse: bySession,
    }
  }
  if (targets && targets.length >= (total ?? 0))
    return { kind: 'complete', reason: null, whereElse: null }
  if (state === 'failed' && !targets) {
    return {
      kind: 'none',
      reason: errorMessage ?? 'The scan failed, and Defender names no target.',
      whereElse: NOWHERE,
    }
  }
  const reason = targets
    ? `${targets.length} of ${total} targets are listed.`
    : 'Defender lists no targets here.'
  return { kind: 'partial', reason, whereElse: bySession }
}

/** A scan definition as answers show it. https://learn.microsoft.com/defender-endpoint/api/get-all-scan-definitions */
export function readDefinition(row: Record<string, unknown>) {
  const fields = fieldsIn(row)
  const latest = innerOf(get(fields, 'latestScan'))
  const agent = innerOf(get(fields, 'scannerAgent'))
  const isActive = get(fields, 'isActive')
  const status = textOf(get(latest, 'status'))
  return {
    id: textOf(get(fields, 'id')),
    name: textOf(get(fields, 'scanName')),
    orgId: textOf(get(fields, 'orgId')),
    isActive: typeof isActive === 'boolean' ? isActive : null,
    createdBy: textOf(get(fields, 'createdBy')),
    intervalInHours: countOf(get(fields, 'intervalInHours')),
    scanType: textOf(get(fields, 'scanType')),
    targetType: textOf(get(fields, 'targetType')),
    targets:
      textOf(get(fields, 'target'))
        ?.split(',')
        .map((target) => target.trim()) ?? null,
    latestScan:
      latest.size === 0
        ? null
        : {
            state: stateOf(status),
            upstreamState: status,
            failureReason: textOf(get(latest, 'failureReason')),
            executedAt: toTimeText(textOf(get(latest, 'executionDateTime')) ?? '') ?? null,
          },
    scanner:
      agent.size === 0
        ? null
        : {
            id: textOf(get(agent, 'id')),
            machineId: textOf(get(agent, 'machineId')),
            machineName: textOf(get(agent, 'machineName')),
            lastSeen: toTimeText(textOf(get(agent, 'lastSeen')) ?? '') ?? null,
          },
  }
}

const innerOf = (value: unknown): Fields => fieldsIn(rowsOf([value])?.[0] ?? {})
