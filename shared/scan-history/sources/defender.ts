import { ShapeError } from '../../platform/errors.ts'
import { toTimeText } from '../../platform/time.ts'
import type { UpstreamHealth } from '../../platform/upstream-health.ts'
import type { DefenderScans } from '../../upstreams/defender-scans.ts'
import {
  type Completeness,
  countOf,
  type Fetched,
  fieldsOf,
  flagOf,
  isOver,
  listedOf,
  pageOf,
  type Query,
  rowsOf,
  type Scan,
  type ScanState,
  type Target,
  textOf,
  toScan,
} from '../source.ts'

/** What Defender can be asked for. */
export interface DefenderSource {
  sessions: Query
  /** All definitions; the id has no meaning. */
  definitions: Query
  /** A page of the sessions of a definition; the part is `<limit>-<offset>`. */
  sessionsOfDefinition: Query
}

type Row = Record<string, unknown>

/** Makes the source for Defender; `track` records the health of its calls. */
export function createDefenderSource(
  scans: DefenderScans,
  track: UpstreamHealth['track'],
): DefenderSource {
  return {
    sessions: {
      kind: 'defender-session',
      async fetch(ids) {
        const { rows = [] } = (await track(() => scans.historyOfSessions(ids), ids.join())) ?? {}
        const found = ids.map((id) => [id, readSession(rowsAbout(id, ids, rows), id)] as const)
        return new Map(found.flatMap(([id, session]) => (session ? [[id, session]] : [])))
      },
    },
    definitions: {
      kind: 'defender-definitions',
      async fetch([id = '']) {
        const { rows } = await track(() => scans.definitions())
        const definitions = rows
          .map(readDefinition)
          .sort((a, b) => ((a.id ?? '') < (b.id ?? '') ? -1 : 1))
        return new Map([[id, { answer: { definitions }, raw: rows, final: false }]])
      },
    },
    sessionsOfDefinition: {
      kind: 'defender-definition',
      async fetch([id = ''], part) {
        const { limit, offset } = pageOf(part)
        // One row more than wanted shows whether there is a next page.
        const page = { top: limit + 1, skip: offset }
        const { rows = [] } = (await track(() => scans.historyOfDefinition(id, page), id)) ?? {}
        const raw = rows.slice(0, limit)
        const sessions = raw.map((row) => readHistoryRow(row, id))
        const answer = { sessions, next: rows.length > limit ? offset + limit : null }
        return new Map([[id, { answer, raw, final: false }]])
      },
    },
  }
}

/** An id without dashes and capitals: Defender writes ids in several ways. */
const plain = (id: string) => id.replaceAll('-', '').toLowerCase()

function rowsAbout(id: string, ids: readonly string[], rows: Row[]): Row[] {
  if (ids.length > 1 && rows.some((row) => sessionOf(row) === null)) {
    const call = 'POST GetScanHistoryBySessionId'
    throw new ShapeError('defender', call, 'several sessions, and rows that do not name theirs')
  }
  return rows.filter((row) => plain(sessionOf(row) ?? id) === plain(id))
}

function readSession(rows: Row[], id: string): Fetched | undefined {
  const scans = rows.map((row) => readHistoryRow(row, id, NOWHERE)).sort(newestFirst)
  const [newest] = scans
  if (!newest) return undefined
  if (scans.length === 1) {
    // A gap may close later.
    const final = isOver(newest.state) && newest.completeness.kind === 'complete'
    return { answer: { ...newest, id }, raw: rows[0], final }
  }
  const completeness: Completeness = {
    kind: 'partial',
    reason: `Defender gave ${scans.length} rows for this session; this is the newest.`,
    whereElse: 'The same address with ?raw=true shows all of them.',
  }
  return { answer: { ...newest, id, completeness }, raw: rows, final: false }
}

const newestFirst = (a: Scan, b: Scan) =>
  (a.lastScannedAt ?? '') > (b.lastScannedAt ?? '') ? -1 : 1

/** Reads fields by lower-case name: samples and metadata differ in case, plural and prefix. */
function reader(row: Row) {
  const fields = new Map(Object.entries(row).map(([name, value]) => [name.toLowerCase(), value]))
  /** The value of the first name that has one. A list with one entry is read as that entry. */
  function get(...names: string[]): unknown {
    const value = names
      .map((name) => fields.get(name.toLowerCase()))
      .find((known) => known !== undefined && known !== null)
    const isOne = Array.isArray(value) && value.length === 1 && typeof value[0] !== 'object'
    return isOne ? value[0] : value
  }
  return {
    isEmpty: fields.size === 0,
    get,
    text: (...names: string[]) => textOf(get(...names)),
    count: (name: string) => countOf(get(name)),
    time: (name: string) => toTimeText(textOf(get(name)) ?? '') ?? null,
  }
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

/** Our state for Defender's word, of a run or a target; `unknown` for a word that is not documented. */
const stateOf = (word: unknown): ScanState =>
  states.get(
    String(word ?? '')
      .toLowerCase()
      .replace(/[\s_-]/g, ''),
  ) ?? 'unknown'

/** The session of a row; null if the row does not name one. */
const sessionOf = (row: Row) => reader(row).text('sessionId', 'SessionIds')

/**
 * Reads a row of the history, in any of its documented shapes. `id` is the requested id, for a row that does not name
 * its session. https://learn.microsoft.com/defender-endpoint/api/get-scan-history-by-session
 */
export function readHistoryRow(row: Row, id: string, whereElse?: string): Scan {
  const { get, text, count, time } = reader(row)
  const session = sessionOf(row)
  const word = text('ScanStatus')
  const state = stateOf(word)
  const targets = listedOf(state, targetsOf(get('scannedTargets', 'ListScannedTargets')))
  // While the run goes on, its numbers are those of a part.
  const total = isOver(state) ? count('NumberOfTargets') : null
  const succeeded = isOver(state) ? count('NumberOfSuccessfullyScannedTargets') : null
  const whole = isOver(state) && targets && targets.length >= (total ?? 0) ? targets : null
  const counted = (wanted: ScanState) =>
    whole?.filter((target) => target.state === wanted).length ?? null
  const scan = toScan('defender', session ?? id, {
    run: session ? { id: session, number: null } : null,
    definitionId: text('scanDefinitionId', 'ScanDefinitionIds'),
    scannerId: text('ScannerId'),
    orgId: text('orgId'),
    state,
    upstreamState: word,
    lastScannedAt: time('LastScanned'),
    targets,
    errorMessage: text('generalErrorMessage'),
  })
  const counts = {
    ...scan.counts,
    targets: total ?? whole?.length ?? null,
    succeeded: succeeded ?? counted('completed'),
    // Of a part: the targets that did not succeed need not all have failed.
    failed: counted('failed') ?? (total !== null && succeeded === total ? 0 : null),
  }
  return { ...scan, counts, completeness: completenessOf({ ...scan, counts }, whereElse) }
}

function targetsOf(value: unknown): Target[] | null {
  if (value === undefined) return null
  return (rowsOf(value) ?? rowsOf([value]) ?? []).map((row) => {
    const { get, text } = reader(row)
    return {
      ip: text('Ip'),
      hostname: text('Hostname'),
      description: text('ScannedDeviceDescription'),
      state: stateOf(get('ScanStatus')),
      error: text('ErrorMessage'),
      durationSeconds: secondsOf(get('ScanDuration')),
      severities: null,
    }
  })
}

/** The seconds of `00:08:30`, also with a fraction or with days (`1.02:00:00`); null for anything else. */
function secondsOf(value: unknown): number | null {
  const [, days = '0', hours, minutes, seconds] =
    /^(?:(\d+)\.)?(\d+):(\d{2}):(\d{2}(?:\.\d+)?)$/.exec(String(value)) ?? []
  if (hours === undefined) return null
  return Number(days) * 86_400 + Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)
}

const NOWHERE = 'Nowhere now: Defender gives no more.'

const SESSIONS = 'GET /api/scan-history/defender/sessions'
const BY_ID = `This list gives no id of the session. ${SESSIONS}/{id} may have more.`

function completenessOf(
  { run, state, upstreamState, targets, errorMessage, counts }: Scan,
  whereElse = run ? `${SESSIONS}/${run.id}` : BY_ID,
): Completeness {
  const total = counts.targets ?? 0
  const partial = (reason: string): Completeness => ({ kind: 'partial', reason, whereElse })
  if (state === 'running' || state === 'pending') {
    const reason = `The run is not over: it is ${upstreamState}.`
    return { kind: 'running', reason, whereElse: 'Ask again later.' }
  }
  if (state === 'unknown')
    return {
      ...partial(`The state ${upstreamState ?? '(none)'} is unknown: the run may not be over.`),
      whereElse: 'Ask again later.',
    }
  if (targets && targets.length >= total) return { kind: 'complete', reason: null, whereElse: null }
  if (targets) return partial(`The list has ${targets.length} of ${total} targets.`)
  if (state !== 'failed') return partial('Defender lists no targets here.')
  const reason = errorMessage ?? 'The scan failed, and Defender names no target.'
  return { kind: 'none', reason, whereElse }
}

/** Authenticated scans of Windows devices ended on this day. Those of network devices go on. */
const RETIRED_AT = '2025-12-18'

/** Reads a scan definition. https://learn.microsoft.com/defender-endpoint/api/get-all-scan-definitions */
export function readDefinition(row: Row) {
  const { get, text, count } = reader(row)
  const latest = reader(fieldsOf(get('latestScan')))
  const agent = reader(fieldsOf(get('scannerAgent')))
  const targets = text('target')
    ?.split(',')
    .map((one) => one.trim())
  const status = latest.text('status')
  const executedAt = latest.time('executionDateTime')
  const isRetired = text('scanType')?.toLowerCase() === 'windows' && (executedAt ?? '') < RETIRED_AT
  return {
    id: text('id'),
    name: text('scanName'),
    orgId: text('orgId'),
    isActive: flagOf(get('isActive')),
    createdBy: text('createdBy'),
    intervalInHours: count('intervalInHours'),
    scanType: text('scanType'),
    targetType: text('targetType'),
    targets: targets?.filter((one) => one !== '') ?? null,
    reason: isRetired ? ('scan-kind-retired' as const) : null,
    latestScan: latest.isEmpty
      ? null
      : {
          state: status === null && executedAt === null ? ('never-run' as const) : stateOf(status),
          upstreamState: status,
          failureReason: latest.text('failureReason'),
          executedAt,
        },
    scanner: agent.isEmpty
      ? null
      : {
          id: agent.text('id'),
          machineId: agent.text('machineId'),
          machineName: agent.text('machineName'),
          lastSeen: agent.time('lastSeen'),
        },
  }
}
