import { ShapeError } from '../../platform/errors.ts'
import { toTimeText } from '../../platform/time.ts'
import type { UpstreamHealth } from '../../platform/upstream-health.ts'
import type { DefenderScans } from '../../upstreams/defender-scans.ts'
import { countOf, fieldsOf, rowsOf, textOf } from '../fields.ts'
import {
  type Completeness,
  type Fetched,
  isOver,
  pageOf,
  type Query,
  type Scan,
  type ScanState,
  type Target,
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
        const { rows = [] } = (await track(() => scans.historyOfSessions(ids))) ?? {}
        const found = ids.map((id) => [id, readSession(rowsAbout(id, ids, rows), id)] as const)
        return new Map(found.flatMap(([id, session]) => (session ? [[id, session]] : [])))
      },
    },
    definitions: {
      kind: 'defender-definitions',
      async fetch([id = '']) {
        const { rows = [] } = (await track(() => scans.definitions())) ?? {}
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
        const { rows = [] } = (await track(() => scans.historyOfDefinition(id, page))) ?? {}
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
  const scans = rows.map((row) => readHistoryRow(row, id)).sort(newestFirst)
  const [newest] = scans
  if (!newest) return undefined
  const final = scans.every(({ state }) => isOver(state))
  if (scans.length === 1) return { answer: { ...newest, id }, raw: rows[0], final }
  const completeness: Completeness = {
    kind: 'partial',
    reason: `Defender gave ${scans.length} rows for this session; this is the newest.`,
    whereElse: 'The same address with ?raw=true shows all of them.',
  }
  return { answer: { ...newest, id, completeness }, raw: rows, final }
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
export function readHistoryRow(row: Row, id: string): Scan {
  const { get, text, count, time } = reader(row)
  const session = sessionOf(row)
  const word = text('ScanStatus')
  const targets = targetsOf(get('scannedTargets', 'ListScannedTargets'))
  const total = count('NumberOfTargets')
  const succeeded = count('NumberOfSuccessfullyScannedTargets')
  const counted = (wanted: ScanState) =>
    targets?.filter(({ state }) => state === wanted).length ?? null
  const scan = toScan('defender', session ?? id, {
    run: session ? { id: session, number: null } : null,
    definitionId: text('scanDefinitionId', 'ScanDefinitionIds'),
    scannerId: text('ScannerId'),
    orgId: text('orgId'),
    state: stateOf(word),
    upstreamState: word,
    lastScannedAt: time('LastScanned'),
    targets,
    errorMessage: text('generalErrorMessage'),
  })
  const failed = total !== null && succeeded !== null ? total - succeeded : null
  const counts = {
    ...scan.counts,
    targets: total ?? targets?.length ?? null,
    succeeded: succeeded ?? counted('completed'),
    failed: counted('failed') ?? failed,
  }
  return { ...scan, counts, completeness: completenessOf({ ...scan, counts }) }
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

const NOWHERE = 'Nowhere: Defender gives no more.'

function completenessOf(scan: Scan): Completeness {
  const { run, state, upstreamState, targets, errorMessage } = scan
  const total = scan.counts.targets ?? 0
  const partial = (reason: string): Completeness => ({
    kind: 'partial',
    reason,
    whereElse: run ? `GET /api/scan-history/defender/sessions/${run.id}` : NOWHERE,
  })
  if (state === 'running' || state === 'pending') {
    const reason = `The run is not over: it is ${upstreamState}.`
    return { kind: 'running', reason, whereElse: 'Ask again later.' }
  }
  if (state === 'unknown') return partial(`The state ${upstreamState ?? '(none)'} is unknown.`)
  if (targets && targets.length >= total) return { kind: 'complete', reason: null, whereElse: null }
  if (targets) return partial(`${targets.length} of ${total} targets are listed.`)
  if (state !== 'failed') return partial('Defender lists no targets here.')
  const reason = errorMessage ?? 'The scan failed, and Defender names no target.'
  return { kind: 'none', reason, whereElse: NOWHERE }
}

/** Reads a scan definition. https://learn.microsoft.com/defender-endpoint/api/get-all-scan-definitions */
export function readDefinition(row: Row) {
  const { get, text, count } = reader(row)
  const latest = reader(fieldsOf(get('latestScan')))
  const agent = reader(fieldsOf(get('scannerAgent')))
  const isActive = get('isActive')
  const target = text('target')
  const status = latest.text('status')
  return {
    id: text('id'),
    name: text('scanName'),
    orgId: text('orgId'),
    isActive: typeof isActive === 'boolean' ? isActive : null,
    createdBy: text('createdBy'),
    intervalInHours: count('intervalInHours'),
    scanType: text('scanType'),
    targetType: text('targetType'),
    targets: target?.split(',').map((one) => one.trim()) ?? null,
    latestScan: latest.isEmpty
      ? null
      : {
          state: stateOf(status),
          upstreamState: status,
          failureReason: latest.text('failureReason'),
          executedAt: latest.time('executionDateTime'),
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
