import { ShapeError, UpstreamError } from '../../platform/errors.ts'
import type { Clock } from '../../platform/time.ts'
import type { UpstreamHealth } from '../../platform/upstream-health.ts'
import type { Tenable } from '../../upstreams/tenable.ts'
import {
  type Alias,
  type Fetched,
  fieldsOf,
  flagOf,
  isOver,
  LATEST,
  pageOf,
  type Query,
  type Scan,
  textOf,
  toScan,
} from '../source.ts'
import {
  answerOf,
  isRunId,
  isUnderWay,
  lastOf,
  neverRun,
  notOver,
  readDetails,
  runOf,
  stateOf,
  stateOfLatest,
} from './tenable-answer.ts'

/** What Tenable can be asked for. */
export interface TenableSource {
  /** A run of a scan, by number or UUID, or the latest one. */
  scan: Query
  /** A page of the runs of a scan; the part is `<limit>-<offset>`. */
  runs: Query
  /** The state of the latest run; undefined if there is no such scan. */
  status(id: string): Promise<Pick<Scan, 'state' | 'upstreamState'> | undefined>
}

type ScanRoutes = Pick<Tenable, 'details' | 'history' | 'latestStatus' | 'probe'>

/** The newest runs: some may not be over. */
const NEWEST = { limit: 5, offset: 0 }

/** Makes the source for Tenable; `track` records the health of its calls. */
export function createTenableSource(
  tenable: ScanRoutes,
  track: UpstreamHealth['track'],
  clock: Clock,
): TenableSource {
  const historyOf = (id: string, page = NEWEST) => track(() => tenable.history(id, page), id)
  const wordOf = (id: string) => track(() => tenable.latestStatus(id), id)

  /** The answer about a scan that is not there. It throws when the list of scans is not there either. */
  async function noScan(): Promise<undefined> {
    await track(() => tenable.probe(clock.now()))
  }

  async function fetchDetails(id: string, run?: string): Promise<Fetched | undefined> {
    const details = await track(() => tenable.details(id, run), id)
    if (!details) return run === undefined ? noScan() : fetchListed(id, run)
    const { info } = details
    if (typeof info !== 'object' || info === null)
      throw new ShapeError('tenable', 'GET /scans/{scan_id}', 'details without `info`')
    const answer = readDetails(id, details, clock.now())
    const { state, completeness } = answer
    // A gap may close later. The latest run is not final: the answer does not say under which name it was requested.
    const isWhole = completeness.kind === 'complete' || completeness.kind === 'archived'
    const isStable = isOver(state) && isWhole && !flagOf(fieldsOf(info).reindexing)
    const final = run !== undefined && isStable
    const runId = answer.run?.id
    return { answer, raw: details, final, part: final && isRunId(runId) ? runId : undefined }
  }

  /** A run without details, if it is one of the newest in the list. */
  async function fetchListed(id: string, run: string): Promise<Fetched | undefined> {
    const page = await historyOf(id)
    if (!page) return noScan()
    const found = page.rows.map(runOf).find((one) => one.id === run || String(one.number) === run)
    return found && { answer: answerOf(id, found), raw: { history: page.rows }, final: false }
  }

  /** Makes the cheap calls first: details are only for finished runs and for scans without a list of runs. */
  async function fetchLatest(id: string): Promise<Fetched | Alias | undefined> {
    // Scans that were imported or triggered have no list of runs.
    const page = await historyOf(id)
    const runs = page?.rows.map(runOf) ?? []
    const [run] = runs
    const raw = { history: page?.rows }
    if (run && isUnderWay(run.state))
      return { answer: answerOf(id, run, lastOf(runs)), raw, final: false }
    const word = await wordOf(id)
    if (!page && word === undefined) return noScan()
    const state = stateOfLatest(word, run)
    if (state !== 'never-run' && !isUnderWay(state))
      return isRunId(run?.id) ? { alias: run.id } : fetchDetails(id)
    // Never run, or a newer run has begun that is not in the list yet.
    const completeness = state === 'never-run' ? neverRun : notOver(id, word, lastOf(runs))
    return {
      answer: toScan('tenable', id, { state, upstreamState: word, completeness }),
      raw: { status: word, ...raw },
      final: false,
    }
  }

  async function fetchRuns(id: string, part: string): Promise<Fetched | undefined> {
    const { limit, offset } = pageOf(part)
    const page = await historyOf(id, { limit, offset })
    if (!page) {
      if ((await wordOf(id)) === undefined) return noScan()
      const call = `GET /scans/${id}/history`
      const said = 'the scan exists, but its list of runs is not there'
      const facts = { upstream: 'tenable', call, status: 404, said, retryable: false }
      throw new UpstreamError({ ...facts, reason: 'refused' })
    }
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
    async status(id) {
      const word = await wordOf(id)
      const isKnown = word !== undefined && stateOf(word) !== 'never-run'
      const page = isKnown ? undefined : await historyOf(id)
      if (!page && word === undefined) return noScan()
      const [run] = page?.rows.map(runOf) ?? []
      const state = stateOfLatest(word, run)
      return { state, upstreamState: textOf(word) ?? run?.upstreamState ?? null }
    },
  }
}

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
