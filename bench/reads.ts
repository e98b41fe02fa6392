import { type Goal, goal } from './goals.ts'
import { snapshots } from './join.ts'
import { interleave, type Measured, ratios } from './measure.ts'

const perItem = ({ cpuMs, rows }: Measured) => cpuMs / rows

/** Measures the merge join of two snapshots and polls: goals 6 and 7. */
export async function benchReads(quick: boolean): Promise<Goal[]> {
  const rows = quick ? 20_000 : 100_000
  const options = { shape: 'paged', rows } as const
  const server = { filled: { rows, tables: snapshots } }
  const items = 10_000
  const { pages, sdk, cold, warm, pointReads } = await interleave(
    {
      pages: { server, options: { ...options, what: 'join-pages' } },
      sdk: { server, options: { ...options, what: 'join-sdk' } },
      cold: { options: { ...options, rows: items, what: 'poll-cold' } },
      warm: { options: { ...options, rows: items, what: 'poll-warm' } },
      // Each read costs the same: a part of them is enough.
      pointReads: { options: { ...options, rows: items / 4, what: 'point-reads' } },
    },
    quick ? 1 : 5,
  )
  return [
    goal(
      '6',
      'CPU of the merge join / of two plain scans with the same columns',
      '≤',
      0.45,
      ratios(pages, sdk, (one) => one.cpuMs),
    ),
    goal(
      '7',
      'requests of the first poll of 10,000 items of 5,000 devices, 5 % changed',
      '≤',
      26,
      cold.map(({ requests }) => requests),
    ),
    goal(
      '7',
      'requests of a later poll',
      '≤',
      14,
      warm.map(({ requests }) => requests),
    ),
    goal(
      '7',
      'requests for the standing of the 500 devices, after either poll',
      'no goal',
      0,
      [...cold, ...warm].map(({ standingRequests = 0 }) => standingRequests),
    ),
    goal(
      '7',
      'CPU of the first poll / of one point read an item',
      '≤',
      0.05,
      ratios(cold, pointReads, perItem),
    ),
    goal(
      '7',
      'CPU of a later poll / of one point read an item',
      '≤',
      0.05,
      ratios(warm, pointReads, perItem),
    ),
  ]
}
