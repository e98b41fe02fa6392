import type { ItemSource } from '../../shared/changes/resource.ts'
import type { Table } from '../../shared/platform/table.ts'
import type { Clock } from '../../shared/platform/time.ts'

/** A row as an answer showed it, whatever the resource. */
export interface ShownRow {
  id: string
  state: string
  created: string | null
  updated: string | null
}

/** One listing by one process and what came of it: recorded between the process and the world, without asking the code. */
export interface Turn {
  /** How often the head had moved when the head was read, or when the turn first moved it. */
  version: number
  /** How often it had moved when the upstream was first asked: what is known was read before. */
  askedVersion: number | null
  nowMs: number
  servedAtMs: number | null
  rows: ShownRow[]
  missing: string[]
  /** The places of the events that it wrote. */
  seqs: number[]
  /** Whether it moved the head. */
  hasMoved: boolean
  /** Whether it came to its end: its report is written. */
  isComplete: boolean
}

/** Records the turns of all processes over one stream. */
export function createTurns(stream: string) {
  const turns: Turn[] = []
  let version = 0

  /** The recorder of one poll. */
  function line(clock: Clock) {
    let turn: Turn | undefined

    function begin(): void {
      turn = {
        version,
        askedVersion: null,
        nowMs: clock.now().getTime(),
        servedAtMs: null,
        rows: [],
        missing: [],
        seqs: [],
        hasMoved: false,
        isComplete: false,
      }
      turns.push(turn)
    }

    return {
      /** Whether the poll came to its end. */
      isOver: () => turn?.isComplete === true,

      /** A table that notes what has landed. */
      lands: (table: Table): Table => ({
        ...table,
        async get(partitionKey, rowKey) {
          const row = await table.get(partitionKey, rowKey)
          if (partitionKey === stream && rowKey === 'head' && row) begin()
          return row
        },
        async transact(operations) {
          const etags = await table.transact(operations)
          const keys = operations.map(({ rowKey }) => rowKey)
          if (turn && keys.includes('head')) {
            if (!turn.hasMoved) turn.version = version
            turn.hasMoved = true
          }
          if (keys.includes('head')) version += 1
          // Whoever makes the head knows it without reading it.
          if (operations.some(({ kind, rowKey }) => kind === 'insert' && rowKey === 'head')) begin()
          for (const key of keys)
            if (key.startsWith('event|')) turn?.seqs.push(Number(key.slice(6)))
          const report = operations.find(({ rowKey }) => rowKey === 'poll')
          if (turn && report && 'columns' in report && report.columns.endedAt !== undefined)
            turn.isComplete = true
          return etags
        },
      }),

      /** A source that notes what was shown. */
      sees: (source: ItemSource): ItemSource => ({
        async *list(wanted) {
          if (turn) turn.askedVersion ??= version
          for await (const page of source.list(wanted)) {
            turn?.rows.push(...page.rows.map(toShown))
            if (turn) turn.servedAtMs ??= page.date?.getTime() ?? null
            yield page
          }
        },
        async get(id) {
          const row = await source.get(id)
          if (row === undefined) turn?.missing.push(id)
          else turn?.rows.push(toShown(row))
          return row
        },
      }),
    }
  }

  return {
    line,
    /**
     * Every turn in the order in which they took effect: one that wrote nothing is judged by what it had read. One that wrote
     * nothing and was overtaken while it read can't be judged, since nobody knows what it had read.
     */
    inOrder: () =>
      turns
        .filter(
          ({ hasMoved, version: before, askedVersion }) => hasMoved || askedVersion === before,
        )
        .toSorted((a, b) => a.version - b.version || Number(a.hasMoved) - Number(b.hasMoved)),
  }
}

function toShown(row: unknown): ShownRow {
  const fields = row as Record<string, string | null>
  return {
    id: fields.id ?? '',
    state: fields.status ?? fields.state ?? '',
    created: fields.creationDateTimeUtc ?? fields.startTime ?? null,
    updated: fields.lastUpdateDateTimeUtc ?? null,
  }
}
