import type { ItemSource, Resource, Wanted } from '../../shared/changes/resource.ts'
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
  /** The time of its begin and of its last answer, by the clock that all processes share. */
  nowMs: number
  endMs: number
  servedAtMs: number | null
  /** The rows of the lists that answer their question. */
  rows: ListedRow[]
  /** The items that were asked for by id and answered. */
  answers: ListedRow[]
  missing: string[]
  /** The sequence numbers of the events that it wrote. */
  seqs: number[]
  /** Whether it wrote items, events or its state. */
  hasWritten: boolean
  /** Whether it has written its report. */
  isComplete: boolean
}

/** Records the attempts of all processes for one stream. */
export function createAttempts({ name: stream, openStates }: Resource, storageDate: () => Date) {
  const attempts: Attempt[] = []
  let version = 0
  let state: unknown = ''

  const isWanted = ({ state, created }: ListedRow, wanted: Wanted) =>
    'openNow' in wanted
      ? openStates.includes(state)
      : created !== null && Date.parse(created) >= Date.parse(wanted.createdSince)

  /** Records one poll. */
  function recordPoll(clock: Clock) {
    let attempt: Attempt | undefined
    let offsetMs = 0
    const sharedMs = () => clock.now().getTime() + offsetMs

    function begin(): void {
      // A date has whole seconds: within them our own clock counts.
      const dateMs = Math.floor(storageDate().getTime() / 1000) * 1000
      const ownMs = clock.now().getTime()
      offsetMs = Math.min(Math.max(ownMs, dateMs), dateMs + 1000) - ownMs
      attempt = {
        version,
        readVersion: null,
        nowMs: sharedMs(),
        endMs: sharedMs(),
        servedAtMs: null,
        rows: [],
        answers: [],
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
        async getDated(partitionKey, rowKey) {
          const { row } = await table.getDated(partitionKey, rowKey)
          if (partitionKey === stream && rowKey === 'head' && row) begin()
          return { row, date: new Date(Math.floor(storageDate().getTime() / 1000) * 1000) }
        },
        async transact(operations) {
          const etags = await table.transact(operations)
          const keys = operations.map(({ rowKey }) => rowKey)
          const head = operations.find(({ rowKey }) => rowKey === 'head')
          if (head && 'columns' in head) {
            // The standing of devices moves the head too: it says nothing of the items that a poll has seen.
            const isStanding =
              head.columns.state === state &&
              keys.every((key) => key === 'head' || /^(device|held)\|/.test(key))
            if (attempt && !isStanding) {
              if (!attempt.hasWritten) attempt.version = version
              attempt.hasWritten = true
            }
            version += 1
            state = head.columns.state
          }
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
            attempt?.rows.push(...page.rows.map(toListed).filter((row) => isWanted(row, wanted)))
            if (attempt) attempt.endMs = sharedMs()
            if (attempt) attempt.servedAtMs ??= page.date?.getTime() ?? null
            yield page
          }
        },
        async get(id) {
          const row = await source.get(id)
          if (attempt) attempt.endMs = sharedMs()
          if (row === undefined) attempt?.missing.push(id)
          else if (toListed(row).id === id) attempt?.answers.push(toListed(row))
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
    id: fields.id?.toLowerCase() ?? '',
    state: fields.status ?? fields.state ?? '',
    created: fields.creationDateTimeUtc ?? fields.startTime ?? null,
    updated: fields.lastUpdateDateTimeUtc ?? null,
  }
}
