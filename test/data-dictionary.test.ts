import { globSync } from 'node:fs'
import { expect, test } from 'vitest'
import { installedRow } from '../shared/app/facts.ts'
import { createAvHealthExport } from '../shared/av-health/export.ts'
import { columns } from '../shared/av-health/fields.ts'
import { dataRow, knownRow } from '../shared/changes/item.ts'
import { failedRow, reportRow, startedRow } from '../shared/changes/poll-state.ts'
import { standingRow } from '../shared/changes/standing.ts'
import { dueRow, storedDelivery } from '../shared/events/delivery/delivery.ts'
import { headRow } from '../shared/events/feed/feed.ts'
import { eventRow, seqRow } from '../shared/events/feed/rows.ts'
import { subscriptionRow, urlRow } from '../shared/events/subscriptions/store.ts'
import { guardRow } from '../shared/exports/file-store.ts'
import {
  changeRow,
  historyRow,
  progressRow,
  rollupRow,
  stateRow,
} from '../shared/exports/fleet-rows.ts'
import { parquetRow } from '../shared/exports/parquet.ts'
import { fileRow, runRow } from '../shared/exports/run-record.ts'
import { activeRow, currentRow } from '../shared/exports/run-store.ts'
import { toColumns } from '../shared/platform/budget-window.ts'
import { ticketRow } from '../shared/platform/tickets.ts'
import { announcementRow, errorRow, okRow } from '../shared/platform/upstream-health.ts'
import { pieceRow } from '../shared/scan-history/cache.ts'
import { hostsRow } from '../shared/scan-history/hosts.ts'
import { readText } from './bicep/template-texts.ts'
import { createComparedFleet } from './exports/compared-fleet.ts'
import { thresholds } from './exports/small-run.ts'
import { root } from './functions/load-registrations.ts'

const page = readText('docs/data.md')

/** The columns under each heading `Table …` of the page. */
const documented = new Map(
  page
    .split(/^### Table /m)
    .slice(1)
    .map((section) => {
      const [heading = ''] = section.split('\n')
      const rows = section.match(/^\| (?:`\w+`(?:, )?)+ \|/gm) ?? []
      return [heading, rows.flatMap((row) => row.match(/\w+/g) ?? [])] as const
    }),
)

const refuse = () => Promise.reject(new Error('not used'))
const kind = createAvHealthExport(
  {
    listFiles: refuse,
    openFile: refuse,
    pages: () => ({ [Symbol.asyncIterator]: refuse }) as never,
  },
  { method: 'files', buckets: 16, thresholds },
)
const usedColumns = toColumns({
  ...{ used: [], stoppedUntilMs: 0, learnedPerMinute: 0, learnedAtMs: 0 },
})

/** The rows of each heading, by the schemas that read and write them. */
const codecs = {
  '`AvHealthChanges`': [changeRow],
  '`AvHealthChanges`, row `~progress`': [progressRow],
  '`AvHealthDevices`': [stateRow],
  '`AvHealthDevices`, rows of the history': [historyRow],
  '`AvHealthRollups`': [rollupRow],
  '`Exports`, row `run|<run id>`': [runRow],
  '`Exports`, row `active`': [activeRow],
  '`Exports`, row `current`': [currentRow],
  '`Exports`, row `parquet`': [parquetRow],
  '`Exports`, files of a run': [fileRow],
  '`Exports`, row `listing`': [guardRow],
  '`Streams`, row `head`': [headRow],
  '`Streams`, row `event|<seq>`': [eventRow],
  '`Streams`, row `item|<id>`': [knownRow, dataRow],
  '`Streams`, rows `device|<machine id>` and `held|<machine id>`': [standingRow],
  '`Streams`, rows `dispatched`, `oldest` and `mark|<what>`': [seqRow],
  '`Streams`, row `poll`': [reportRow],
  '`Streams`, row `poll|began`': [startedRow],
  '`Streams`, row `poll|failed`': [failedRow],
  '`Subscriptions`': [subscriptionRow],
  '`Subscriptions`, row `url|<SHA-256>`': [urlRow],
  '`Deliveries`': [storedDelivery],
  '`Deliveries`, rows `due|…` and `again|…`': [dueRow],
  '`ScanCache`': [pieceRow],
  '`ScanCache`, hosts of a scan': [hostsRow],
  '`Tickets`': [ticketRow],
  '`Budgets`, row `ok`': [okRow],
  '`Budgets`, row `error`': [errorRow],
  '`Budgets`, row `retirement`': [announcementRow],
  '`Budgets`, row `installed`': [installedRow],
}
const others = {
  '`AvHealthSnapshot<run id>`': [
    ...['machineId', ...columns.map(({ name }) => name)],
    ...['firstFile', 'firstLine', 'file', 'line'],
  ],
  '`AvHealthConditions<run id>`': kind.fleet.columns,
  '`AvHealthNames`': ['runId'],
  '`Budgets`, row `calls|<family>`': Object.keys(usedColumns),
  '`Secrets`': ['writtenAt', 'secret'],
}

test('the dictionary has exactly the columns that the schemas of all rows have', () => {
  const stored = Object.entries(codecs).map(([heading, rows]) => [
    heading,
    // The delivery adds one column to those of its record.
    [
      ...rows.flatMap(({ names }) => names),
      ...(rows[0] === storedDelivery ? ['isOpen'] : []),
    ].toSorted(),
  ])
  const expected = Object.fromEntries([
    ...stored,
    ...Object.entries(others).map(([heading, names]) => [heading, names.toSorted()]),
  ])

  expect(
    Object.fromEntries([...documented].map(([heading, names]) => [heading, names.toSorted()])),
  ).toEqual(expected)
})

test('no row is left out: the code has as many schemas as the dictionary', () => {
  const made = globSync('shared/**/*.ts', { cwd: root }).flatMap(
    (path) => readText(path).match(/(?<!function )\browCodec\(/g) ?? [],
  )

  // One more is that of `Secrets`, which is made for each kind of secret.
  expect(made).toHaveLength(Object.values(codecs).flat().length + 1)
})

test('the rows of a compared fleet have only columns of the dictionary', async () => {
  const fleet = await createComparedFleet()
  await fleet.publish([[{ id: 'a' }, { id: 'b' }]])
  const runId = await fleet.publish([[{ id: 'a', AvMode: '1', Odd: 1 }, { id: 'c' }]])
  const unknown: string[] = []
  for (const table of await fleet.storage.names()) {
    const heading = `\`${table.replace(/\d{14}[a-z]{4}$/, '<run id>')}\``
    const known = [...documented].flatMap(([name, names]) =>
      name.startsWith(heading) ? names : [],
    )
    for (const { columns } of await fleet.rows(table))
      for (const name of Object.keys(columns))
        if (!known.includes(name.replace(/\d+$/, ''))) unknown.push(`${heading} ${name}`)
  }

  expect((await fleet.storage.names()).join()).toContain(`AvHealthConditions${runId}`)
  expect(unknown).toEqual([])
})
