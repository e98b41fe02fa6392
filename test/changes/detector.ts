import { type Change, detect, type PollResult } from '../../shared/changes/detect.ts'
import type { KnownItem } from '../../shared/changes/item.ts'
import type { Resource, SeenItem } from '../../shared/changes/resource.ts'

const HOUR_MS = 3_600_000
const BEGIN_MS = Date.UTC(2026, 2, 1)

/** A time so many hours after the begin of the tests' world. */
export const at = (hours: number): Date => new Date(BEGIN_MS + Math.round(hours * HOUR_MS))
export const textAt = (hours: number): string => at(hours).toISOString()

/** An item in an answer, created and last updated at the given hours. */
export function seenItem(
  id: string,
  state: string,
  { created = 0, updated = created as number | null } = {},
): SeenItem {
  const createdAt = textAt(created)
  const updatedAt = updated === null ? null : textAt(updated)
  return { id, state, createdAt, updatedAt, raw: { id, state }, badTimes: 0 }
}

/** The answers of one poll. */
export interface Observation {
  hours: number
  seen?: SeenItem[]
  missing?: string[]
  /** The ids that were asked for one by one; all that were seen if absent. */
  confirmed?: string[]
  lost?: string[]
  isSilent?: boolean
  windowStart?: Date
}

/** Applies `detect` to poll after poll and keeps the known items in between. */
export function createDetector(resource: Resource) {
  const known = new Map<string, KnownItem>()
  let next = 1
  return {
    known,
    poll({
      hours,
      seen = [],
      missing = [],
      confirmed = seen.map(({ id }) => id),
      lost = [],
      isSilent = false,
      windowStart = at(hours - 96),
    }: Observation): Change[] {
      const result: PollResult = {
        seen: new Map(seen.map((item) => [item.id, item])),
        missing,
        confirmed: new Set(confirmed),
        lost: new Set(lost),
        now: at(hours),
        isSilent,
        windowStart,
        overdueHours: 73,
        freshVersion: next + 1,
      }
      const changes = detect(resource, known, result)
      for (const { id, item, kind } of changes) {
        if (item) known.set(id, item)
        else known.delete(id)
        if (kind) next += 1
      }
      return changes
    },
    /** The events of a poll, each as a short text. */
    events(observation: Observation): string[] {
      return this.poll(observation).flatMap(({ kind, id, from, to, reason }) =>
        kind ? [`${id} ${kind} ${from ?? '-'} > ${to ?? reason}`] : [],
      )
    },
  }
}
