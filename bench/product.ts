import '../shared/app/memory.ts'
import { AV_HEALTH, createAvHealthExport } from '../shared/av-health/export.ts'
import type { ExportEngine } from '../shared/exports/engine.ts'
import { createFileLedger, createLinks } from '../shared/exports/file-store.ts'
import { importFile } from '../shared/exports/import.ts'
import { toRun } from '../shared/exports/run-record.ts'
import { createRunLedger } from '../shared/exports/run-store.ts'
import { createSnapshotWriter } from '../shared/exports/snapshot-writer.ts'
import { createTables } from '../shared/platform/azure-table.ts'
import { toMembers } from '../shared/platform/batch-body.ts'
import { createBatchWriter } from '../shared/platform/batch-writer.ts'
import { createHttp } from '../shared/platform/http.ts'
import { createExportFiles } from '../shared/upstreams/export-file.ts'
import type { Work } from './cases.ts'
import { systemClock as clock } from './clock.ts'
import { type Entity, entityOf, membersOf } from './entity.ts'
import { rowsOf } from './files.ts'

const unlimited = { account: 1e9, partition: 1e9 }
const refuse = () => Promise.reject(new Error('no benchmark uses it'))

/** The product: one file, from its link to its row in the ledger. */
export const importRows: Work = async (
  { storage, origin, shape, rows, buckets, inFlight, paced },
  begin,
) => {
  const table = createTables({ connectionString: storage })
  const http = createHttp({ upstream: 'export-files', clock, userAgent: 'defender-relay-bench' })
  const files = createExportFiles({ http, isAllowedLink: () => true })
  const engine: ExportEngine = {
    kind: createAvHealthExport(
      {
        openFile: files.open,
        listFiles: refuse,
        pages: () => ({ [Symbol.asyncIterator]: () => ({ next: refuse }) }),
      },
      { method: 'files', buckets, thresholds: { signatureDays: 7, scanDays: 14, notSeenDays: 7 } },
    ),
    runs: createRunLedger(table('Exports'), AV_HEALTH),
    files: createFileLedger(table('Exports'), AV_HEALTH),
    links: createLinks(table('Secrets'), clock),
    table,
    writer: createBatchWriter({ inFlight, clock, rates: paced ? undefined : unlimited }),
    announce: refuse,
    clock,
    log: { info: () => {}, warn: () => {}, error: () => {} },
    trace: {},
    retention: { days: 1, historyDays: 1, graceMs: 0 },
  } as ExportEngine
  const runId = '20261121030405abcd'
  const now = clock.now().toISOString()
  await table('Exports').create()
  await table(engine.kind.snapshotTable(runId)).create()
  await engine.runs.begin(
    toRun(runId, {
      epoch: 1,
      state: 'importing',
      requestedMethod: 'files',
      force: false,
      method: 'files',
      startedAt: now,
      progressAt: now,
      buckets,
      listed: 1,
      snapshot: engine.kind.snapshotTable(runId),
    }),
  )
  const ref = { kind: AV_HEALTH, runId, epoch: 1 }
  const listed = { path: 'file', link: `${origin}/files/${shape}`, number: 1 }
  await table('Secrets').create()
  await engine.links.write({ runId, generatedTime: null }, [listed])
  await engine.files.write(ref, [listed])
  begin()
  await importFile(engine, { ...ref, file: 1 })
  const [file] = await engine.files.all(runId)
  if (file?.written !== rows)
    throw new Error(`written ${file?.written} of ${rows}: ${file?.reason}`)
}

/** The product's writer alone, with the JSON of its rows made beforehand. */
export const writeRows: Work = async (options, begin) => {
  const rows = Array.from(rowsOf(options.shape, options.rows), membersOf)
  await write(options, rows, begin)
}

/** The product's writer alone, with columns made beforehand: their JSON is made as they are written. */
export const writeColumns: Work = async (options, begin) => {
  const rows = Array.from(rowsOf(options.shape, options.rows), (row) => entityOf(row, 1))
  await write(options, toRows(rows), begin)
}

function* toRows(entities: Entity[]) {
  for (const { partitionKey: _partition, rowKey: id, ...columns } of entities)
    yield { id: String(id), members: toMembers(columns) }
}

async function write(
  { storage, rows, buckets, inFlight, paced }: Parameters<Work>[0],
  prepared: Iterable<{ id: string; members: string }>,
  begin: () => void,
): Promise<void> {
  const table = createTables({ connectionString: storage })('AvHealthSnapshot1')
  await table.create()
  const writer = createSnapshotWriter({
    table,
    kind: { buckets, freshness: () => [] },
    writer: createBatchWriter({ inFlight, clock, rates: paced ? undefined : unlimited }),
    file: 1,
  })
  begin()
  let line = 0
  for (const { id, members } of prepared) {
    const full = writer.add(id, members, ++line)
    if (full !== undefined) await full
  }
  const { written } = await writer.finish()
  if (written !== rows) throw new Error(`written ${written} of ${rows}`)
}
