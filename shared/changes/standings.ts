import { z } from 'zod'
import type { Feed } from '../events/feed/feed.ts'
import { isText, textFilter, wordsFilter } from '../platform/forms.ts'
import { type ScanOptions, scanRanges } from '../platform/ordered-reads.ts'
import type { Row } from '../platform/table.ts'
import { readReport } from './poll-state.ts'
import type { Resource } from './resource.ts'
import { isolationStates, noStanding, type Standing, toStanding } from './standing.ts'

const text = z.string().nullable()
const since = { since: text, actionId: text }

/** The standing of a device in answers. Unknown: no kept action says it. */
export const standingSchema = z.strictObject({
  isolation: z.strictObject({
    state: z.enum([...isolationStates, 'unknown']),
    ...since,
  }),
  codeExecution: z.strictObject({
    state: z.enum(['restricted', 'unrestricted', 'unknown']),
    ...since,
  }),
  lastScan: z.strictObject({ scope: text, ...since }).nullable(),
  lastPackage: z.strictObject(since).nullable(),
  pending: z.array(
    z.strictObject({ type: text, requestor: text, ...since, duplicateOf: z.array(text) }),
  ),
  pendingCut: z.boolean().describe('Whether open actions beyond 20 are left out.'),
})

/** The ids of the other open actions of the same type. */
export const duplicatesIn = (pending: Standing['pending'], type: unknown, id: string) =>
  pending.flatMap((one) =>
    one.type !== null && one.type === type && one.actionId !== id ? one.actionId : [],
  )

const unknown = { state: 'unknown' as const, since: null, actionId: null }

function toHeld(machineId: string, known: Standing = noStanding) {
  const { computerDnsName, isolation, codeExecution, pending, lastEvents: _, ...rest } = known
  const standing: z.output<typeof standingSchema> = {
    isolation: isolation ?? unknown,
    codeExecution: codeExecution ?? unknown,
    pending: pending.map((one) => ({
      ...one,
      duplicateOf: duplicatesIn(pending, one.type, one.actionId),
    })),
    ...rest,
  }
  return { machineId, computerDnsName, standing }
}

/** The filters of a list by what holds. */
export const standingFilters = {
  isolation: wordsFilter(isolationStates).describe('One state, or several with commas.'),
  pendingAction: textFilter.describe('The type of an open machine action, or `any`.'),
}
type StandingFilter = { [Name in keyof typeof standingFilters]?: string }

type ListOptions<T> = Pick<ScanOptions<T>, 'limit' | 'reads'> & {
  toEntry(held: ReturnType<typeof toHeld>): Promise<T | undefined | null>
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
      const stored = columns && toStanding(columns)
      const { standing, ...held } = toHeld(machineId, stored)
      const { lastEvents } = stored ?? noStanding
      const isKnown = stored !== undefined
      return { ...held, isKnown, standing: { asOf: at, ...standing }, lastEvents }
    },

    /** The devices that pass, by id; those that hold something are few rows. */
    async list<T>(
      { isolation, pendingAction }: StandingFilter,
      { limit, reads, toEntry }: ListOptions<T>,
      after = '',
    ) {
      const isWanted = (standing: Standing) =>
        (!isolation || isolation.split(',').includes(standing.isolation?.state ?? 'unknown')) &&
        (!pendingAction ||
          standing.pending.some(
            (one) => isText('any', pendingAction) || isText(one.type, pendingAction),
          ))
      const kind = isolation?.includes('released') && !pendingAction ? 'device' : 'held'
      const from = `${kind}|${after && `${after}!`}`
      const range = { partitionKey: stream, from, before: `${kind}}` }
      const [at, { found, next }] = await Promise.all([
        asOf(),
        scanRanges(feed.rowsTable, [range], {
          limit,
          reads,
          toEntry({ rowKey, columns }) {
            const standing = toStanding(columns)
            return standing && isWanted(standing)
              ? toEntry(toHeld(rowKey.slice(kind.length + 1), standing))
              : undefined
          },
        }),
      ])
      return { asOf: at, devices: found, next: next?.rowKey.slice(kind.length + 1) ?? null }
    },

    /** How many devices hold what; null before the first poll, and when there are too many to count. */
    async counts() {
      const at = await asOf()
      const counts = { isolated: 0, selective: 0, restricted: 0, pending: 0 }
      let pages = 0
      const reads = { scanned: 0, take: () => pages++ < MAX_COUNTED_PAGES }
      const toEntry = ({ columns }: Row) => {
        const { isolation, codeExecution, pending = [] } = toStanding(columns) ?? {}
        if (isolation && isolation.state !== 'released') counts[isolation.state] += 1
        if (codeExecution?.state === 'restricted') counts.restricted += 1
        if (pending.length > 0) counts.pending += 1
        return undefined
      }
      const range = { partitionKey: stream, from: 'held|', before: 'held}' }
      const { next } = await scanRanges(feed.rowsTable, [range], { limit: 1, reads, toEntry })
      return { asOf: at, counts: next || at === null ? null : counts }
    },
  }
}

const MAX_COUNTED_PAGES = 10
