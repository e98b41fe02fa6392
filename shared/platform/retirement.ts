import { z } from 'zod'
import type { Clock } from './clock.ts'
import type { Table } from './table.ts'

const stored = z.object({ at: z.string(), call: z.string(), endsAt: z.string().default('') })

/** What an upstream has said of the end of one of its routes; `endsAt` is null where it named no day. */
export interface Announcement {
  call: string
  endsAt: string | null
}

/** Listens for announcements in the headers of answers, for every instance. */
export interface RetirementWatch {
  /** Notes an announcement, if there is one; never throws. */
  heed(call: string, headers: Readonly<Record<string, string>>): Promise<void>
  /** The last announcement; undefined when there was none within a day. */
  report(): Promise<Announcement | undefined>
}

const NOTE_EVERY_MS = 5 * 60_000
/** The rarest calls come twice a day. */
const KEPT_MS = 24 * 60 * 60_000

/**
 * Opens the watch of an upstream: row `retirement` of table `Budgets`. `Sunset` is RFC 8594, `Deprecation` RFC 9745; of
 * their texts only the day is kept.
 */
export function createRetirementWatch(
  table: Table,
  upstream: string,
  clock: Clock,
): RetirementWatch {
  const key = { partitionKey: upstream, rowKey: 'retirement' }
  let notedMs = Number.NEGATIVE_INFINITY
  return {
    async heed(call, { sunset, deprecation }) {
      const now = clock.now()
      if (
        (sunset === undefined && deprecation === undefined) ||
        now.getTime() - notedMs < NOTE_EVERY_MS
      )
        return
      const endMs = Date.parse(sunset ?? '')
      const endsAt = Number.isNaN(endMs) ? '' : new Date(endMs).toISOString()
      try {
        await table.transact([
          { kind: 'upsert', ...key, columns: { at: now.toISOString(), call, endsAt } },
        ])
        notedMs = now.getTime()
      } catch {
        // The next answer says it again; this one must not be lost because of it.
      }
    },
    async report() {
      const row = await table.get(key.partitionKey, key.rowKey)
      if (!row) return undefined
      const { at, call, endsAt } = stored.parse(row.columns)
      return clock.now().getTime() - Date.parse(at) < KEPT_MS
        ? { call, endsAt: endsAt || null }
        : undefined
    },
  }
}
