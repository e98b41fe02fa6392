import { ShapeError } from '../../platform/errors.ts'
import type { UpstreamWatch } from '../../platform/upstream-watch.ts'
import type { Tenable } from '../../upstreams/tenable.ts'
import { type Found, LATEST, type Question, type See } from '../source.ts'
import {
  isOver,
  isUnderWay,
  neverRun,
  notOver,
  readDetails,
  runOf,
  scanOf,
  stateOf,
} from './tenable-answer.ts'

/** What Tenable can be asked for. */
export interface TenableSource {
  /** A scan's run by number or UUID, or its latest one. */
  scan: Question
  /** A page of a scan's runs; the part is `<limit>-<offset>`. */
  runs: Question
  /** How the latest run stands; undefined where there is no such scan. */
  status(id: string): Promise<string | undefined>
}

type ScanRoutes = Pick<Tenable, 'details' | 'history' | 'latestStatus'>

/** Makes the source that Tenable is; `over` notes how its calls go. */
export function createTenableSource(
  tenable: ScanRoutes,
  over: UpstreamWatch['over'],
): TenableSource {
  async function detailsOf(id: string, run?: string): Promise<Found | undefined> {
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
  async function latestOf(id: string): Promise<Found | See | undefined> {
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
    if (!isUnderWay(state)) return { see: run.id }
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
      ask: (ids, run) => eachOf(ids, (id) => (run === LATEST ? latestOf(id) : detailsOf(id, run))),
    },
    runs: {
      kind: 'tenable-runs',
      ask: (ids, part) =>
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
): Found {
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
