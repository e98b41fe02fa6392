import type { ItemSource } from '../../shared/changes/resource.ts'
import type { Table } from '../../shared/platform/table.ts'
import type { Clock } from '../../shared/platform/time.ts'

/** A row of an answer, in one shape for both resources. */
export interface ListedRow {
  id: string
  state: string
  created: string | null
  updated: string | null
}

/** One attempt of a poll and its result, recorded between the process and the outside, without the code under test. */
export interface Attempt {
  /** How often the head had moved when this attempt read it, or when it first moved it. */
  version: number
  /** How often it had moved at the first upstream call: the known items are read before that. */
  readVersion: number | null
  nowMs: number
  servedAtMs: number | null
  rows: ListedRow[]
  missing: string[]
  /** The sequence numbers of the events that it wrote. */
  seqs: number[]
  /** Whether it moved the head. */
  hasWritten: boolean
  /** Whether it has written its report. */
  isComplete: boolean
}

/** Records the attempts of all processes for one stream. */
export function createAttempts(stream: string) {
  const attempts: Attempt[] = []
  let version = 0

  /** Records one poll. */
  function recordPoll(clock: Clock) {
    let attempt: Attempt | undefined

    function begin(): void {
      attempt = {
        version,
        readVersion: null,
        nowMs: clock.now().getTime(),
        servedAtMs: null,
        rows: [],
        missing: [],
        seqs: [],
        hasWritten: false,
        isComplete: false,
      }
      attempts.push(attempt)
    }

    return {
      /** Whether the poll has ended. */
      isOver: () => attempt?.isComplete === true,

      /** A table whose writes are recorded. */
      recordTable: (table: Table): Table => ({
        ...table,
        async get(partitionKey, rowKey) {
          const row = await table.get(partitionKey, rowKey)
          if (partitionKey === stream && rowKey === 'head' && row) begin()
          return row
        },
        async transact(operations) {
          const etags = await table.transact(operations)
          const keys = operations.map(({ rowKey }) => rowKey)
          if (attempt && keys.includes('head')) {
            if (!attempt.hasWritten) attempt.version = version
            attempt.hasWritten = true
          }
          if (keys.includes('head')) version += 1
          // The process that creates the head knows it without reading it.
          if (operations.some(({ kind, rowKey }) => kind === 'insert' && rowKey === 'head')) begin()
          for (const key of keys)
            if (key.startsWith('event|')) attempt?.seqs.push(Number(key.slice(6)))
          const report = operations.find(({ rowKey }) => rowKey === 'poll')
          if (attempt && report && 'columns' in report && report.columns.endedAt !== undefined)
            attempt.isComplete = true
          return etags
        },
      }),

      /** A source whose answers are recorded. */
      recordSource: (source: ItemSource): ItemSource => ({
        async *list(wanted) {
          if (attempt) attempt.readVersion ??= version
          for await (const page of source.list(wanted)) {
            attempt?.rows.push(...page.rows.map(toListed))
            if (attempt) attempt.servedAtMs ??= page.date?.getTime() ?? null
            yield page
          }
        },
        async get(id) {
          const row = await source.get(id)
          if (row === undefined) attempt?.missing.push(id)
          else attempt?.rows.push(toListed(row))
          return row
        },
      }),
    }
  }

  return {
    recordPoll,
    /**
     * All attempts in the order in which they took effect. One that wrote nothing is placed by what it had read. One that
     * wrote nothing while another process wrote is left out: it is unknown what it had read.
     */
    inOrder: () =>
      attempts
        .filter(
          ({ hasWritten, version: before, readVersion }) => hasWritten || readVersion === before,
        )
        .toSorted((a, b) => a.version - b.version || Number(a.hasWritten) - Number(b.hasWritten)),
  }
}

function toListed(row: unknown): ListedRow {
  const fields = row as Record<string, string | null>
  return {
    id: fields.id ?? '',
    state: fields.status ?? fields.state ?? '',
    created: fields.creationDateTimeUtc ?? fields.startTime ?? null,
    updated: fields.lastUpdateDateTimeUtc ?? null,
  }
}
