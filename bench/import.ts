import { fileOf, type Shape } from './files.ts'
import { type Goal, goal } from './goals.ts'
import { type Case, interleave, type Measured, ratios } from './measure.ts'

/** The service's published limits, in rows a second. */
const ACCOUNT = 20_000
const PARTITION = 2000
const LATENCY_MS = 8

/** Measures the import against its rivals: goals 1, 2, 3 and 5. */
export async function benchImport(quick: boolean): Promise<Goal[]> {
  const rows = quick ? 20_000 : 100_000
  const pinnedRows = quick ? 30_000 : 200_000
  const azuriteRows = quick ? 5000 : 20_000
  const at8 = { latencyMs: LATENCY_MS }
  const full = { ...at8, account: ACCOUNT, partition: PARTITION }
  const halved = { ...at8, account: ACCOUNT / 2, partition: PARTITION / 2 }
  const azurite = { azurite: true, inFlight: 4, buckets: 64 }

  const measured = await interleave(
    {
      submitTransaction: of('submit-transaction', 'paged', rows),
      import: of('import', 'paged', rows),
      importNested: of('import', 'nested', rows / 2),
      sketchNested: of('sketch', 'nested', rows / 2),
      importAt8: of('import', 'paged', rows, at8),
      writeAt8: of('write', 'paged', rows, at8),
      writeColumnsAt8: of('write-columns', 'paged', rows, at8),
      // Slow rivals, whose rate hardly depends on the number of rows.
      wholeFile: of('whole-file', 'paged', rows / 4),
      wholeFileAt8: of('whole-file', 'paged', rows / 4, at8),
      rowByRowAt8: of('row-by-row', 'paged', quick ? 500 : 2000, at8),
      pinned: { ...of('import', 'paged', pinnedRows, full, { paced: true }), pinned: true },
      pinnedHalved: {
        ...of('import', 'paged', pinnedRows / 2, halved, { paced: true }),
        pinned: true,
      },
      importAzurite: of('import', 'paged', azuriteRows, {}, azurite),
      writeAzurite: of('write', 'paged', azuriteRows, {}, azurite),
      writeColumnsAzurite: of('write-columns', 'paged', azuriteRows, {}, azurite),
    },
    quick ? 1 : 5,
  )
  const { pinned, pinnedHalved } = measured
  const share = (limit: number) => (one: Measured) => rate(one) / limit
  const each = (of: Measured[], figure: (one: Measured) => number) => of.map(figure)

  return [
    goal(
      '1',
      'CPU of the import / of `submitTransaction` alone',
      '≤',
      0.4,
      ratios(measured.import, measured.submitTransaction, cpu),
    ),
    goal(
      '1',
      'CPU of `submitTransaction` alone, ms for 1,000 rows',
      'no goal',
      0,
      each(measured.submitTransaction, (one) => cpu(one) * 1000),
    ),
    goal(
      '1',
      'CPU of the import / of the sketch, in the shape of export files',
      '≤',
      1.25,
      ratios(measured.importNested, measured.sketchNested, cpu),
    ),
    goal(
      '2',
      `rate of the import / of its writer with rows as JSON, ${LATENCY_MS} ms a request`,
      '≥',
      0.85,
      ratios(measured.importAt8, measured.writeAt8, rate),
    ),
    goal(
      '2',
      'the same, with rows as columns',
      '≥',
      0.85,
      ratios(measured.importAt8, measured.writeColumnsAt8, rate),
    ),
    goal(
      '2',
      'the same against Azurite, with rows as JSON',
      '≥',
      0.9,
      ratios(measured.importAzurite, measured.writeAzurite, rate),
    ),
    goal(
      '2',
      'the same against Azurite, with rows as columns',
      '≥',
      0.9,
      ratios(measured.importAzurite, measured.writeColumnsAzurite, rate),
    ),
    goal('3', 'share of the account rate, on one CPU', '≥', 0.97, each(pinned, share(ACCOUNT))),
    goal(
      '3',
      'share of requests answered 503 at the account rate',
      '≤',
      0.005,
      each(pinned, refused),
    ),
    goal(
      '3',
      'load of that CPU',
      '≤',
      0.5,
      each(pinned, (one) => one.cpuMs / one.ms),
    ),
    goal(
      '3',
      'share of half the account rate, unannounced',
      '≥',
      0.85,
      each(pinnedHalved, share(ACCOUNT / 2)),
    ),
    goal(
      '3',
      'share of requests answered 503 at half of it, unannounced',
      '≤',
      0.15,
      each(pinnedHalved, refused),
    ),
    goal(
      '5',
      'rate / whole file and one transaction after the other, 8 ms',
      '≥',
      5,
      ratios(measured.importAt8, measured.wholeFileAt8, rate),
    ),
    goal('5', 'the same at 0 ms', '≥', 3, ratios(measured.import, measured.wholeFile, rate)),
    goal(
      '5',
      'rate / row by row, 8 ms',
      '≥',
      300,
      ratios(measured.importAt8, measured.rowByRowAt8, rate),
    ),
  ]
}

/** Measures the memory of an import by the size of its file: goal 4. */
export async function benchMemory(quick: boolean): Promise<Goal[]> {
  const rows = quick ? 100_000 : 400_000
  const { small, large } = await interleave(
    {
      small: of('import', 'paged', 20_000, {}, { paced: true }),
      large: of('import', 'paged', rows, {}, { paced: true }),
    },
    quick ? 1 : 5,
  )
  const megabytes = large.map((one) => (one.rssMiB * 2 ** 20) / 1e6)
  return [
    goal('4', `peak memory of ${rows} rows / of 20000`, '≤', 1.2, ratios(large, small, rss)),
    goal('4', `peak memory of ${rows} rows, MB`, '≤', 180, megabytes),
  ]
}

const cpu = (one: Measured) => one.cpuMs / one.rows
const rate = (one: Measured) => (one.rows / one.ms) * 1000
const rss = (one: Measured) => one.rssMiB
const refused = (one: Measured) => one.busy / one.requests

function of(
  what: Case['options']['what'],
  shape: Shape,
  rows: number,
  server: Case['server'] = {},
  {
    azurite = false,
    ...options
  }: { azurite?: boolean } & Pick<Case['options'], 'inFlight' | 'buckets' | 'paced'> = {},
): Case {
  return {
    options: { what, shape, rows, ...options },
    server: { ...server, files: { [shape]: fileOf(shape, rows) } },
    azurite,
  }
}
