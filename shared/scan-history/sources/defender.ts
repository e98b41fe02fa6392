import { ShapeError } from '../../platform/errors.ts'
import type { UpstreamWatch } from '../../platform/upstream-watch.ts'
import type { DefenderScans } from '../../upstreams/defender-scans.ts'
import type { Found, Question, Scan } from '../source.ts'
import { isOver, readDefinition, readHistoryRow, sessionOf } from './defender-answer.ts'

/** What Defender can be asked for. */
export interface DefenderSource {
  sessions: Question
  /** Every definition; the id plays no part. */
  definitions: Question
  /** A page of the sessions of a definition; the part is `<limit>-<offset>`. */
  sessionsOfDefinition: Question
}

type Row = Record<string, unknown>

/** Makes the source that Defender is; `over` notes how its calls go. */
export function createDefenderSource(
  scans: DefenderScans,
  over: UpstreamWatch['over'],
): DefenderSource {
  return {
    sessions: {
      kind: 'defender-session',
      async ask(ids) {
        const { rows = [] } = (await over(() => scans.historyOfSessions(ids))) ?? {}
        const found = ids.map((id) => [id, sessionFrom(rowsAbout(id, ids, rows), id)] as const)
        return new Map(found.flatMap(([id, session]) => (session ? [[id, session]] : [])))
      },
    },
    definitions: {
      kind: 'defender-definitions',
      async ask([id = '']) {
        const { rows = [] } = (await over(() => scans.definitions())) ?? {}
        const definitions = rows
          .map(readDefinition)
          .sort((a, b) => ((a.id ?? '') < (b.id ?? '') ? -1 : 1))
        return new Map([[id, { answer: { definitions }, raw: rows, final: false }]])
      },
    },
    sessionsOfDefinition: {
      kind: 'defender-definition',
      async ask([id = ''], part) {
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

function sessionFrom(rows: Row[], id: string): Found | undefined {
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
