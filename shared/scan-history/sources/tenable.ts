import { isIP } from 'node:net'
import { ShapeError } from '../../platform/errors.ts'
import type { UpstreamHealth } from '../../platform/upstream-health.ts'
import type { Tenable } from '../../upstreams/tenable.ts'
import { countOf, epochTimeOf, fieldsOf, rowsOf, textOf } from '../fields.ts'
import {
  type Alias,
  type Completeness,
  type Fetched,
  isOver,
  LATEST,
  pageOf,
  type Query,
  type Scan,
  type ScanState,
  severityNames,
  type Target,
  toScan,
} from '../source.ts'

/** What Tenable can be asked for. */
export interface TenableSource {
  /** A run of a scan, by number or UUID, or the latest one. */
  scan: Query
  /** A page of the runs of a scan; the part is `<limit>-<offset>`. */
  runs: Query
  /** Tenable's word for the state of the latest run; undefined if there is no such scan. */
  status(id: string): Promise<string | undefined>
}

type ScanRoutes = Pick<Tenable, 'details' | 'history' | 'latestStatus'>

/** Makes the source for Tenable; `track` records the health of its calls. */
export function createTenableSource(
  tenable: ScanRoutes,
  track: UpstreamHealth['track'],
): TenableSource {
  async function fetchDetails(id: string, run?: string): Promise<Fetched | undefined> {
    const details = await track(() => tenable.details(id, run))
    if (!details) return undefined
    if (typeof details.info !== 'object' || details.info === null) {
      throw new ShapeError('tenable', 'GET /scans/{scan_id}', 'details without `info`')
    }
    const answer = readDetails(id, details)
    // The latest run is not final: the answer does not say under which name it was requested.
    const final = run !== undefined && isOver(answer.state)
    const runId = answer.run?.id
    return { answer, raw: details, final, part: final && isRunId(runId) ? runId : undefined }
  }

  /** Makes the cheap calls first: details are only for finished runs and for scans without a list of runs. */
  async function fetchLatest(id: string): Promise<Fetched | Alias | undefined> {
    // Scans that were imported or triggered have no list of runs.
    const page = await track(() => tenable.history(id, { limit: 1, offset: 0 }))
    const row = page?.rows[0]
    const run = row && runOf(row)
    if (row && run && isUnderWay(run.state)) {
      const { id: runId, number, state, upstreamState, startedAt } = run
      const completeness = notOver(id, upstreamState)
      const known = { run: { id: runId, number }, state, upstreamState, startedAt, completeness }
      return { answer: toScan('tenable', id, known), raw: { history: [row] }, final: false }
    }
    const word = await track(() => tenable.latestStatus(id))
    if (word === undefined) return undefined
    const state = stateOf(word)
    if (state !== 'never-run') {
      if (!isRunId(run?.id)) return fetchDetails(id)
      if (!isUnderWay(state)) return { alias: run.id }
    }
    // Never run, or a newer run has begun that is not in the list yet.
    const completeness = state === 'never-run' ? neverRun : notOver(id, word)
    return {
      answer: toScan('tenable', id, { state, upstreamState: word, completeness }),
      raw: { status: word, history: row && [row] },
      final: false,
    }
  }

  async function fetchRuns(id: string, part: string): Promise<Fetched | undefined> {
    const { limit, offset } = pageOf(part)
    const page = await track(() => tenable.history(id, { limit, offset }))
    if (!page) return undefined
    const { rows, total } = page
    const end = offset + rows.length
    const hasMore = rows.length > 0 && (total === null ? rows.length >= limit : end < total)
    return {
      answer: { runs: rows.map(runOf), next: hasMore ? end : null },
      raw: rows,
      final: false,
    }
  }

  return {
    scan: {
      kind: 'tenable-scan',
      fetch: (ids, run) =>
        fetchEach(ids, (id) => (run === LATEST ? fetchLatest(id) : fetchDetails(id, run))),
    },
    runs: {
      kind: 'tenable-runs',
      fetch: (ids, part) => fetchEach(ids, (id) => fetchRuns(id, part)),
    },
    status: (id) => track(() => tenable.latestStatus(id)),
  }
}

/** Whether an id can be part of a key and of a request. */
const isRunId = (id: string | null | undefined): id is string =>
  typeof id === 'string' && id !== LATEST && /^[\w-]{1,128}$/.test(id)

async function fetchEach<T>(
  ids: readonly string[],
  fetchOne: (id: string) => Promise<T | undefined>,
): Promise<Map<string, T>> {
  const found = new Map<string, T>()
  for (const id of ids) {
    const one = await fetchOne(id)
    if (one) found.set(id, one)
  }
  return found
}

type Row = Record<string, unknown>

// https://developer.tenable.com/docs/scan-status-tio
const states = new Map<string, ScanState>(
  Object.entries({
    completed: 'completed',
    imported: 'imported',
    canceled: 'canceled',
    paused: 'paused',
    pending: 'pending',
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
const isUnderWay = (state: ScanState) =>
  state === 'running' || state === 'paused' || state === 'pending'

/** Reads a row of the list of runs. https://developer.tenable.com/reference/scans-history */
export function runOf(row: Row) {
  return {
    id: textOf(row.scan_uuid ?? row.uuid),
    number: countOf(row.id ?? row.history_id),
    state: stateOf(row.status),
    upstreamState: textOf(row.status),
    startedAt: epochTimeOf(row.time_start ?? row.creation_date),
    endedAt: epochTimeOf(row.time_end ?? row.last_modification_date),
    archived: typeof row.is_archived === 'boolean' ? row.is_archived : null,
  }
}

/** Reads the details of a run. https://developer.tenable.com/reference/scans-details */
export function readDetails(id: string, details: Row): Scan {
  const info = fieldsOf(details.info)
  const state = stateOf(info.status)
  const runId = textOf(info.uuid)
  const run = rowsOf(details.history)?.find(({ uuid }) => runId !== null && uuid === runId)
  const hosts = info.is_archived === true || state === 'never-run' ? null : rowsOf(details.hosts)
  const endedAt = isOver(state) ? epochTimeOf(info.scan_end) : null
  return toScan('tenable', id, {
    run:
      state === 'never-run' || runId === null
        ? null
        : { id: runId, number: countOf(run?.history_id) },
    definitionId: textOf(info.schedule_uuid),
    name: textOf(info.name),
    state,
    upstreamState: textOf(info.status),
    startedAt: epochTimeOf(info.scan_start),
    endedAt,
    lastScannedAt: isOver(state) ? (endedAt ?? epochTimeOf(info.timestamp)) : null,
    counts: {
      targets: countOf(info.hostcount) ?? hosts?.length ?? null,
      succeeded: null,
      failed: null,
      ...bySeverity((name) => sumOf(hosts, name)),
    },
    targets: hosts?.map(targetOf) ?? null,
    completeness: completenessOf(id, state, info, hosts),
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
    severities: hasCounts ? bySeverity((name) => countOf(host[name]) ?? 0) : null,
  }
}

type Severity = (typeof severityNames)[number]

const bySeverity = <T>(make: (name: Severity) => T) =>
  Object.fromEntries(severityNames.map((name) => [name, make(name)])) as Record<Severity, T>

/** The findings of all hosts; null if no host has such a count. */
function sumOf(hosts: Row[] | null, name: Severity): number | null {
  const counts = hosts?.map((host) => countOf(host[name])).filter((count) => count !== null)
  if (!hosts || !counts || (counts.length === 0 && hosts.length > 0)) return null
  return counts.reduce((total, count) => total + count, 0)
}

const neverRun: Completeness = {
  kind: 'none',
  reason: 'The scan has never been run.',
  whereElse: 'Nowhere, until the scan is launched.',
}

const notOver = (id: string, word: string | null): Completeness => ({
  kind: 'running',
  reason: `The run is not over: it is ${word}.`,
  whereElse: `Ask again later. GET /api/scan-history/tenable/scans/${id}/status is a cheap way to see whether it is over.`,
})

function completenessOf(
  id: string,
  state: ScanState,
  info: Row,
  hosts: Row[] | null,
): Completeness {
  const word = textOf(info.status)
  const run = textOf(info.uuid)
  // Tenable's export has every run whole, but an old run not in every format.
  const elsewhere =
    `Tenable's POST /scans/${id}/export${run ? `?history_id=${run}` : ''} has the whole run: in every format until it is ` +
    '60 days old, then as nessus or csv without filters.'
  const partial = (reason: string, whereElse = elsewhere): Completeness => ({
    kind: 'partial',
    reason,
    whereElse,
  })
  if (state === 'never-run') return neverRun
  if (info.is_archived === true) {
    const reason =
      'The run is older than 35 days: Tenable no longer shows its hosts and findings here.'
    return { kind: 'archived', reason, whereElse: elsewhere }
  }
  if (state === 'unknown') return partial(`The state ${word ?? '(none)'} is unknown.`)
  if (!isOver(state)) return notOver(id, word)
  if (!hosts) return partial('Tenable sent no list of hosts.')
  const hostCount = countOf(info.hostcount)
  if (hostCount !== null && hostCount > hosts.length)
    return partial(`${hosts.length} of ${hostCount} hosts are listed.`)
  if (state === 'canceled' || state === 'failed')
    return partial(`The run was ${word} before its end.`, 'Nowhere: run the scan again.')
  return { kind: 'complete', reason: null, whereElse: null }
}
