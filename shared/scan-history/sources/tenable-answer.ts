import { isIP } from 'node:net'
import {
  type Completeness,
  countOf,
  epochTimeOf,
  fieldsOf,
  flagOf,
  isOver,
  LATEST,
  listedOf,
  rowsOf,
  type Scan,
  type ScanState,
  severityNames,
  type Target,
  textOf,
  toScan,
} from '../source.ts'

type Row = Record<string, unknown>

// https://developer.tenable.com/docs/scan-status-tio
const states = new Map<string, ScanState>(
  Object.entries({
    completed: 'completed',
    imported: 'imported',
    canceled: 'canceled',
    paused: 'paused',
    pending: 'pending',
    queued: 'pending',
    stopped: 'canceled',
    aborted: 'failed',
    empty: 'never-run',
    initializing: 'running',
    running: 'running',
    pausing: 'running',
    resuming: 'running',
    stopping: 'running',
    // Its results are still being indexed.
    publishing: 'running',
    processing: 'running',
  } as const),
)

/** Our state for Tenable's word; `unknown` for a word that is not documented. */
export const stateOf = (word: unknown): ScanState =>
  states.get(String(word ?? '').toLowerCase()) ?? 'unknown'

/** Whether a run is not over and its state is known. */
export const isUnderWay = (state: ScanState) =>
  state === 'running' || state === 'paused' || state === 'pending'

/** Tenable says `empty` of a scan that was never run, and also of one that is about to run again. */
export const stateOfLatest = (word: string | undefined, run: Run | undefined): ScanState => {
  const state = word === undefined ? (run?.state ?? 'unknown') : stateOf(word)
  return state === 'never-run' && run ? 'pending' : state
}

type Run = ReturnType<typeof runOf>

/** Whether an id can be part of a key and of a request. */
export const isRunId = (id: string | null | undefined): id is string =>
  typeof id === 'string' && id !== LATEST && /^[\w-]{1,128}$/.test(id)

/** The newest run that is over. */
export const lastOf = (runs: Run[]) => runs.find(({ id, state }) => isRunId(id) && isOver(state))

/** What the list of runs says about a run; `last` is the newest one that is over. */
export function answerOf(id: string, run: Run, last?: Run): Scan {
  const { id: runId, number, state, upstreamState, startedAt } = run
  const partial: Completeness = {
    kind: 'partial',
    reason: 'Tenable lists the run, but has no details of it.',
    whereElse: 'Ask again later.',
  }
  const completeness = isUnderWay(state) ? notOver(id, upstreamState, last) : partial
  const endedAt = isOver(state) ? run.endedAt : null
  const known = { state, upstreamState, startedAt, endedAt, completeness }
  return toScan('tenable', id, { run: { id: runId, number }, ...known })
}

/** Reads a row of the list of runs. https://developer.tenable.com/reference/scans-history */
export function runOf(row: Row) {
  const state = stateOf(row.status)
  return {
    id: textOf(row.scan_uuid ?? row.uuid),
    number: countOf(row.id ?? row.history_id),
    // A run that is in the list was launched.
    state: state === 'never-run' ? ('pending' as const) : state,
    upstreamState: textOf(row.status),
    startedAt: epochTimeOf(row.time_start ?? row.creation_date),
    endedAt: epochTimeOf(row.time_end ?? row.last_modification_date),
    archived: flagOf(row.is_archived),
  }
}

/** Reads the details of a run. https://developer.tenable.com/reference/scans-details */
export function readDetails(id: string, details: Row, now: Date): Scan {
  const info = fieldsOf(details.info)
  const runs = rowsOf(details.history)?.map(runOf) ?? []
  const state = stateOfLatest(textOf(info.status) ?? '', runs[0])
  const runId = textOf(info.uuid)
  const run = runs.find((one) => runId !== null && one.id === runId)
  const isArchived = flagOf(info.is_archived) === true
  const hosts = isArchived ? null : listedOf(state, rowsOf(details.hosts))
  const completeness =
    isUnderWay(state) && !isArchived
      ? notOver(id, textOf(info.status), lastOf(runs))
      : completenessOf(id, state, info, hosts, now)
  // Anything else counts a part only.
  const counted = completeness.kind === 'complete' ? hosts : null
  const isStable = isOver(state) && !flagOf(info.reindexing)
  const endedAt = isOver(state) ? epochTimeOf(info.scan_end) : null
  return toScan('tenable', id, {
    run:
      state === 'never-run' || runId === null ? null : { id: runId, number: run?.number ?? null },
    definitionId: textOf(info.schedule_uuid),
    name: textOf(info.name),
    state,
    upstreamState: textOf(info.status),
    startedAt: epochTimeOf(info.scan_start),
    endedAt,
    lastScannedAt: isOver(state) ? (endedAt ?? epochTimeOf(info.timestamp)) : null,
    counts: {
      targets: isStable ? (countOf(info.hostcount) ?? counted?.length ?? null) : null,
      succeeded: null,
      failed: null,
      ...bySeverity((name) => sumOf(counted, name)),
    },
    targets: hosts?.map(targetOf) ?? null,
    completeness,
  })
}

function targetOf(host: Row): Target {
  const hostname = textOf(host.hostname)
  const hasCounts = severityNames.some((name) => countOf(host[name]) !== null)
  return {
    ip: hostname !== null && isIP(hostname) ? hostname : null,
    hostname,
    description: null,
    state: null,
    error: null,
    durationSeconds: null,
    severities: hasCounts ? bySeverity((name) => countOf(host[name])) : null,
  }
}

type Severity = (typeof severityNames)[number]

const bySeverity = <T>(make: (name: Severity) => T) =>
  Object.fromEntries(severityNames.map((name) => [name, make(name)])) as Record<Severity, T>

/** The findings of all hosts; null if a host has no such count. */
function sumOf(hosts: Row[] | null, name: Severity): number | null {
  const counts = hosts?.map((host) => countOf(host[name])) ?? [null]
  return counts.reduce((sum, count) => (sum === null || count === null ? null : sum + count), 0)
}

export const neverRun: Completeness = {
  kind: 'none',
  reason: 'The scan has never been run.',
  whereElse: 'Nowhere, until the scan is launched.',
}

/** `last` is the newest run that is over. */
export function notOver(id: string, word: string | null | undefined, last?: Run): Completeness {
  const scan = `GET /api/scan-history/tenable/scans/${id}`
  const shown = last ? ` The last run that is over: ${scan}?run=${last.id}.` : ''
  return {
    kind: 'running',
    reason: `The run is not over: Tenable's word for it is ${word}.`,
    whereElse: `Ask again later. ${scan}/status is a cheap way to see whether it is over.${shown}`,
  }
}

const AGAIN = 'Nowhere: run the scan again.'
/** Then Tenable removes the results of a run. */
const HELD_MONTHS = 15

/** Of a run that is not under way. */
function completenessOf(
  id: string,
  state: ScanState,
  info: Row,
  hosts: Row[] | null,
  now: Date,
): Completeness {
  if (state === 'never-run') return neverRun
  const word = textOf(info.status)
  const run = textOf(info.uuid)
  const end = epochTimeOf(info.scan_end) ?? epochTimeOf(info.timestamp)
  const removal = new Date(end ?? epochTimeOf(info.scan_start) ?? now)
  removal.setUTCMonth(removal.getUTCMonth() + HELD_MONTHS)
  const isRemoved = removal <= now
  // Tenable's export has every run whole, but an old run not in every format.
  const elsewhere = isRemoved
    ? AGAIN
    : `Tenable's POST /scans/${id}/export${run ? `?history_id=${run}` : ''} has the whole run: in every format until it ` +
      `is 60 days old, then as nessus or csv without filters, until it is ${HELD_MONTHS} months old.`
  const answer = (kind: 'partial' | 'archived', reason: string, whereElse = elsewhere) => ({
    kind,
    reason,
    whereElse,
  })
  if (flagOf(info.is_archived)) {
    const reason = isRemoved
      ? `The run is older than ${HELD_MONTHS} months: Tenable no longer holds its results.`
      : 'The run is older than 35 days: Tenable no longer shows its hosts and findings here.'
    return answer('archived', reason)
  }
  if (state === 'unknown') {
    const reason = `The state ${word ?? '(none)'} is unknown: the run may not be over.`
    return answer('partial', reason, "The same address with ?raw=true shows Tenable's own answer.")
  }
  if (flagOf(info.reindexing))
    return answer('partial', 'Tenable is reindexing the results of the run.', 'Ask again later.')
  const hostCount = countOf(info.hostcount)
  if (!hosts || hosts.length < (hostCount ?? 1)) {
    const gap = hosts && hostCount !== null && `The list has ${hosts.length} of ${hostCount} hosts.`
    return answer('partial', gap || 'Tenable sent no list of hosts.')
  }
  if (state === 'canceled' || state === 'failed')
    return answer('partial', `The run was ${word} before its end.`, AGAIN)
  return { kind: 'complete', reason: null, whereElse: null }
}
