import { z } from 'zod'
import type { Clock } from './clock.ts'
import { UpstreamError } from './errors.ts'
import type { Table } from './table.ts'

/** How an upstream fares, in one word an operator can act on. */
export const upstreamStates = ['ok', 'forbidden', 'gone', 'throttled', 'unreachable', 'unknown'] as const

const lastErrorSchema = z.strictObject({
  at: z.string(),
  status: z.int().nullable(),
  title: z.string(),
  missing: z.array(z.string()),
})

/** What is known of an upstream, whichever instance saw it. */
export const upstreamReportSchema = z.strictObject({
  state: z.enum(upstreamStates),
  lastOkAt: z.string().nullable(),
  lastError: lastErrorSchema.nullable(),
})

export type UpstreamReport = z.infer<typeof upstreamReportSchema>

/** Remembers in a table how the calls to one upstream went, so that every instance can tell. */
export interface UpstreamWatch {
  /** Makes a call and notes how it went; its answer and its error pass unchanged. */
  over<T>(call: () => Promise<T>): Promise<T>
  report(): Promise<UpstreamReport>
}

const ROW = 'state'

/** Opens the watch of an upstream: one row of table `Budgets`. */
export function createUpstreamWatch(table: Table, upstream: string, clock: Clock): UpstreamWatch {
  async function report(): Promise<UpstreamReport> {
    const row = await table.get(upstream, ROW)
    if (!row) return { state: 'unknown', lastOkAt: null, lastError: null }
    return upstreamReportSchema.parse(JSON.parse(String(row.columns.report)))
  }

  async function note(change: (before: UpstreamReport) => UpstreamReport): Promise<void> {
    const columns = { report: JSON.stringify(change(await report())) }
    // The last one to write wins: it saw the upstream last.
    await table.transact([{ kind: 'upsert', partitionKey: upstream, rowKey: ROW, columns }])
  }

  return {
    report,
    async over(call) {
      const at = () => clock.now().toISOString()
      try {
        const answer = await call()
        await note((before) => ({ ...before, state: 'ok', lastOkAt: at() }))
        return answer
      } catch (error) {
        // Our own budget says nothing of the upstream.
        if (error instanceof UpstreamError && error.facts.code !== 'OwnBudget') {
          const { status = null, missing = [] } = error.facts
          await note((before) => ({
            ...before,
            state: stateOf(status),
            lastError: { at: at(), status, title: error.message, missing: [...missing] },
          }))
        }
        throw error
      }
    },
  }
}

function stateOf(status: number | null): UpstreamReport['state'] {
  if (status === 401 || status === 403) return 'forbidden'
  if (status === 404 || status === 410) return 'gone'
  return status === 429 ? 'throttled' : 'unreachable'
}
