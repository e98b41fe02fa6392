import { z } from 'zod'
import type { Feed } from '../events/feed/feed.ts'
import { type ReadLimit, scanRanges } from '../platform/ordered-reads.ts'
import { readReport } from './poll-state.ts'
import type { Resource } from './resource.ts'
import { type Standing, toStanding } from './standing.ts'

const text = z.string().nullable()
const since = { since: text, actionId: text }

/** The standing of a device in answers. Unknown: no kept action says it. */
export const standingSchema = z.strictObject({
  isolation: z.strictObject({
    state: z.enum(['isolated', 'selective', 'released', 'unknown']),
    ...since,
  }),
  codeExecution: z.strictObject({
    state: z.enum(['restricted', 'unrestricted', 'unknown']),
    ...since,
  }),
  lastScan: z.strictObject({ scope: text, ...since }).nullable(),
  lastPackage: z.strictObject(since).nullable(),
  pending: z.array(z.strictObject({ type: text, requestor: text, ...since })),
  pendingCut: z.boolean().describe('Whether open actions beyond 20 are left out.'),
})

const unknown = { state: 'unknown' as const, since: null, actionId: null }

function viewStanding(standing: Standing | undefined): z.output<typeof standingSchema> {
  const { isolation, codeExecution, lastScan, lastPackage, pending, pendingCut } = standing ?? {}
  return {
    isolation: isolation ?? unknown,
    codeExecution: codeExecution ?? unknown,
    lastScan: lastScan ?? null,
    lastPackage: lastPackage ?? null,
    pending: pending ?? [],
    pendingCut: pendingCut ?? false,
  }
}

export interface StandingFilter {
  /** States of the isolation. */
  isolation?: readonly string[]
  /** The type of an open action, or `any`. */
  pendingAction?: string
}

/** Reads the projection that `standing.ts` writes. */
export function createStandings(context: { feed: Feed; resource: Resource }) {
  const { feed, resource } = context
  const stream = resource.name

  /** Until when the actions are folded in; null before the first poll. */
  async function asOf(): Promise<string | null> {
    const [head, report] = await Promise.all([feed.head(stream), readReport(context)])
    if (head.folded === null) return null
    if (head.folded === head.next - 1) return report?.endedAt ?? null
    return (await feed.event(stream, head.folded))?.detectedat ?? null
  }

  return {
    async show(machineId: string) {
      const [at, columns] = await Promise.all([asOf(), feed.row(stream, `device|${machineId}`)])
      const standing = columns && toStanding(columns)
      return {
        isKnown: standing !== undefined,
        computerDnsName: standing?.computerDnsName ?? null,
        standing: { asOf: at, ...viewStanding(standing) },
      }
    },

    /** The devices that pass, by id; those that hold something are few rows. */
    async list(filter: StandingFilter, limit: number, reads: ReadLimit, after?: string) {
      const { isolation, pendingAction } = filter
      const type = pendingAction?.toLowerCase()
      const isWanted = (standing: Standing) =>
        (!isolation || isolation.includes(standing.isolation?.state ?? 'unknown')) &&
        (!type ||
          standing.pending.some((one) => type === 'any' || one.type?.toLowerCase() === type))
      const kind = isolation?.includes('released') && !pendingAction ? 'device' : 'held'
      const from = after === undefined ? `${kind}|` : `${kind}|${after}!`
      const range = { partitionKey: stream, from, before: `${kind}}` }
      const [at, scan] = await Promise.all([
        asOf(),
        scanRanges(feed.rowsTable, [range], {
          limit,
          reads,
          toEntry({ rowKey, columns }) {
            const standing = toStanding(columns)
            if (!standing || !isWanted(standing)) return undefined
            const machineId = rowKey.slice(kind.length + 1)
            const { computerDnsName } = standing
            return { machineId, computerDnsName, standing: viewStanding(standing) }
          },
        }),
      ])
      const next = scan.isEnd ? null : (scan.last?.rowKey.slice(kind.length + 1) ?? null)
      return { asOf: at, devices: scan.found, next }
    },

    /** How many devices hold what; null before the first poll, and when there are too many to count. */
    async counts() {
      const at = await asOf()
      if (at === null) return { asOf: at, counts: null }
      const counts = { isolated: 0, selective: 0, restricted: 0, pending: 0 }
      let next: string | undefined
      for (let page = 0; page < MAX_COUNTED_PAGES; page++) {
        const range = { partitionKey: stream, from: 'held|', before: 'held}' }
        const answer = await feed.rowsTable.page(range, { next })
        for (const { columns } of answer.rows) {
          const { isolation, codeExecution, pending = [] } = toStanding(columns) ?? {}
          if (isolation?.state === 'isolated') counts.isolated += 1
          if (isolation?.state === 'selective') counts.selective += 1
          if (codeExecution?.state === 'restricted') counts.restricted += 1
          if (pending.length > 0) counts.pending += 1
        }
        next = answer.next
        if (next === undefined) return { asOf: at, counts }
      }
      return { asOf: at, counts: null }
    },
  }
}

const MAX_COUNTED_PAGES = 10
