import { isIP } from 'node:net'
import { ShapeError } from '../../platform/errors.ts'
import type { UpstreamHealth } from '../../platform/upstream-health.ts'
import type { Tenable } from '../../upstreams/tenable.ts'
import { countOf, epochTimeOf, fieldsOf, rowsOf, textOf } from '../fields.ts'
import {
  type Alias,
  type Completeness,
  type Fetched,
  LATEST,
  type Query,
  type Scan,
  type ScanState,
  type Target,
} from '../source.ts'

/** What Tenable can be asked for. */
export interface TenableSource {
  /** A scan's run by number or UUID, or its latest one. */
  scan: Query
  /** A page of a scan's runs; the part is `<limit>-<offset>`. */
  runs: Query
  /** How the latest run stands; undefined where there is no such scan. */
  status(id: string): Promise<string | undefined>
}

type ScanRoutes = Pick<Tenable, 'details' | 'history' | 'latestStatus'>

/** Makes the source that Tenable is; `over` notes how its calls go. */
export function createTenableSource(
  tenable: ScanRoutes,
  over: UpstreamHealth['track'],
): TenableSource {
  async function detailsOf(id: string, run?: string): Promise<Fetched | undefined> {
    const details = await over(() => tenable.details(id, run))
    if (!details) return undefined
    if (typeof details.info !== 'object' || details.info === null) {
      throw new ShapeError('tenable', 'GET /scans/{scan_id}', 'details without `info`')
    }
    const answer = readDetails(id, details)
    // Without a run to keep it under, nobody can say that it will not change.
    const runId = answer.run?.id
    const final = run !== undefined && isOver(answer.state)
    return { answer, raw: details, final, ...(final && isRunId(runId) && { part: runId }) }
  }

  /** Asks the cheap routes first: details are for runs that are over, and for scans that have no list of runs. */
  async function latestOf(id: string): Promise<Fetched | Alias | undefined> {
    // Scans that were imported or triggered have no runs to list.
    const page = await over(() => tenable.history(id, { limit: 1, offset: 0 }))
    const [row] = page?.rows ?? []
    const run = row && runOf(row)
    if (row && run && isUnderWay(run.state)) return unfinished(id, run, row)
    const word = await over(() => tenable.latestStatus(id))
    if (word === undefined) return undefined
    const state = stateOf(word)
    const raw = { status: word, ...(row && { history: [row] }) }
    if (state === 'never-run') {
      return {
        answer: scanOf(id, { state, upstreamState: word, completeness: neverRun }),
        raw,
        final: false,
      }
    }
    if (!isRunId(run?.id)) return detailsOf(id)
    if (!isUnderWay(state)) return { alias: run.id }
    // A newer run has begun that is not listed yet.
    return {
      answer: scanOf(id, { state, upstreamState: word, completeness: notOver(id, word) }),
      raw,
      final: false,
    }
  }

  return {
    scan: {
      kind: 'tenable-scan',
      fetch: (ids, run) =>
        eachOf(ids, (id) => (run === LATEST ? latestOf(id) : detailsOf(id, run))),
    },
    runs: {
      kind: 'tenable-runs',
      fetch: (ids, part) =>
        eachOf(ids, async (id) => {
          const [limit = 0, offset = 0] = part.split('-').map(Number)
          const page = await over(() => tenable.history(id, { limit, offset }))
          if (!page) return undefined
          const { rows, total } = page
          const more = total === null ? rows.length >= limit : offset + rows.length < total
          const answer = {
            runs: rows.map(runOf),
            next: more && rows.length > 0 ? offset + rows.length : null,
          }
          return { answer, raw: rows, final: false }
        }),
    },
    status: (id) => over(() => tenable.latestStatus(id)),
  }
}

/** It becomes part of a key and of a request. */
const isRunId = (id: string | null | undefined): id is string =>
  typeof id === 'string' && id !== LATEST && /^[\w-]{1,128}$/.test(id)

function unfinished(
  id: string,
  run: ReturnType<typeof runOf>,
  row: Record<string, unknown>,
): Fetched {
  const { state, upstreamState, startedAt } = run
  const completeness = notOver(id, upstreamState)
  const known = {
    run: { id: run.id, number: run.number },
    state,
    upstreamState,
    startedAt,
    completeness,
  }
  return { answer: scanOf(id, known), raw: { history: [row] }, final: false }
}

async function eachOf<T>(
  ids: readonly string[],
  find: (id: string) => Promise<T | undefined>,
): Promise<Map<string, T>> {
  const found = new Map<string, T>()
  for (const id of ids) {
    const one = await find(id)
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

/** Tenable's word for how a run stands, in ours. */
export const stateOf = (word: unknown): ScanState =>
  states.get(String(word ?? '').toLowerCase()) ?? 'unknown'

const over = new Set<ScanState>(['completed', 'imported', 'canceled', 'failed'])

/** Whether a run is over: nothing about it will change any more. */
export const isOver = (state: ScanState): boolean => over.has(state)

const underWay = new Set<ScanState>(['running', 'paused', 'pending'])

/** Whether a run has begun or will, and is not over. */
export const isUnderWay = (state: ScanState): boolean => underWay.has(state)

const severityNames = ['critical', 'high', 'medium', 'low', 'info'] as const
const unknownCounts = { targets: null, succeeded: null, failed: null }
const noSeverities = { critical: null, high: null, medium: null, low: null, info: null }

/** What is said of a run while nothing more than its state is known. */
export function scanOf(id: string, known: Partial<Scan>): Scan {
  return {
    source: 'tenable',
    id,
    run: null,
    definitionId: null,
    scannerId: null,
    orgId: null,
    name: null,
    state: 'unknown',
    upstreamState: null,
    startedAt: null,
    endedAt: null,
    lastScannedAt: null,
    counts: { ...unknownCounts, ...noSeverities },
    targets: null,
    completeness: { kind: 'none', reason: null, whereElse: null },
    errorMessage: null,
    ...known,
  }
}

/** A row of the list of runs. https://developer.tenable.com/reference/scans-history */
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

/** The details of a run in our shape. https://developer.tenable.com/reference/scans-details */
export function readDetails(id: string, details: Row): Scan {
  const info = fieldsOf(details.info)
  const state = stateOf(info.status)
  const runId = textOf(info.uuid)
  const run = rowsOf(details.history)?.find(({ uuid }) => runId !== null && uuid === runId)
  const hosts = info.is_archived === true || state === 'never-run' ? null : rowsOf(details.hosts)
  const ended = isOver(state) ? epochTimeOf(info.scan_end) : null
  return scanOf(id, {
    run:
      state === 'never-run' || runId === null
        ? null
        : { id: runId, number: countOf(run?.history_id) },
    definitionId: textOf(info.schedule_uuid),
    name: textOf(info.name),
    state,
    upstreamState: textOf(info.status),
    startedAt: epochTimeOf(info.scan_start),
    endedAt: ended,
    lastScannedAt: isOver(state) ? (ended ?? epochTimeOf(info.timestamp)) : null,
    counts: {
      ...unknownCounts,
      targets: countOf(info.hostcount) ?? hosts?.length ?? null,
      ...sumOf(hosts),
    },
    targets: hosts?.map(targetOf) ?? null,
    completeness: completenessOf(id, state, info, hosts),
  })
}

function targetOf(host: Row): Target {
  const hostname = textOf(host.hostname)
  const counts = severityNames.map((name) => [name, countOf(host[name]) ?? 0])
  return {
    ip: hostname !== null && isIP(hostname) ? hostname : null,
    hostname,
    description: null,
    state: null,
    error: null,
    durationSeconds: null,
    severities: severityNames.some((name) => countOf(host[name]) !== null)
      ? Object.fromEntries(counts)
      : null,
  }
}

/** The findings of all hosts; null where no host tells of any. */
function sumOf(hosts: Row[] | null) {
  if (!hosts) return noSeverities
  const sum = (name: string) => {
    const counts = hosts.map((host) => countOf(host[name])).filter((count) => count !== null)
    return counts.length === 0 && hosts.length > 0
      ? null
      : counts.reduce((total, count) => total + count, 0)
  }
  return Object.fromEntries(severityNames.map((name) => [name, sum(name)])) as Record<
    (typeof severityNames)[number],
    number | null
  >
}

/** The way round: it has every run whole, but not for ever in every format. */
const exportOf = (id: string, run: string | null) =>
  `Tenable's POST /scans/${id}/export${run ? `?history_id=${run}` : ''} has the whole run: in every format until it is ` +
  '60 days old, then as nessus or csv without filters.'

/** Why there is nothing to see of a scan that was never launched. */
export const neverRun: Completeness = {
  kind: 'none',
  reason: 'The scan has never been run.',
  whereElse: 'Nowhere, until it is launched.',
}

/** Why a run that is not over is not whole. */
export const notOver = (id: string, word: string | null): Completeness => ({
  kind: 'running',
  reason: `The run is not over: it is ${word}.`,
  whereElse: `Ask again later; GET /api/scan-history/tenable/scans/${id}/status tells cheaply when it is over.`,
})

function completenessOf(
  id: string,
  state: ScanState,
  info: Row,
  hosts: Row[] | null,
): Completeness {
  const word = textOf(info.status)
  const elsewhere = exportOf(id, textOf(info.uuid))
  const some = (reason: string, whereElse = elsewhere): Completeness => ({
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
  if (state === 'unknown') return some(`The state ${word ?? '(none)'} is not known here.`)
  if (!isOver(state)) return notOver(id, word)
  if (!hosts) return some('Tenable sent no list of hosts.')
  const hostCount = countOf(info.hostcount)
  if (hostCount !== null && hostCount > hosts.length)
    return some(`${hosts.length} of ${hostCount} hosts are listed.`)
  if (state === 'canceled' || state === 'failed')
    return some(`The run was ${word} before its end.`, 'Nowhere: run the scan again.')
  return { kind: 'complete', reason: null, whereElse: null }
}
