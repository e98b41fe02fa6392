import { createAdjustableClock } from '../../local/clock.ts'
import { openSecrets } from '../../shared/app/sections/base.ts'
import { AV_HEALTH, createAvHealthExport } from '../../shared/av-health/export.ts'
import type { ExportEngine } from '../../shared/exports/engine.ts'
import { createFileLedger, createLinks } from '../../shared/exports/file-store.ts'
import { importFile } from '../../shared/exports/import.ts'
import { toRun } from '../../shared/exports/run-record.ts'
import { createRunLedger } from '../../shared/exports/run-store.ts'
import { createTables } from '../../shared/platform/azure-table.ts'
import { createBatchWriter } from '../../shared/platform/batch-writer.ts'
import { createHttp } from '../../shared/platform/http.ts'
import { createExportFiles } from '../../shared/upstreams/export-file.ts'

// One activity alone in a process with little memory: imports the file behind `link` into the
// tables behind `snapshots`, stores its ledger in `ledger`, and prints the result.
const [link = '', snapshots = '', ledger = ''] = process.argv.slice(2)

const clock = createAdjustableClock()
const exportsTable = createTables({ connectionString: ledger })('Exports')
const { origin } = new URL(link)
const http = createHttp({ upstream: 'export-files', clock, userAgent: 'defender-relay-test' })
const exportFiles = createExportFiles({ http, isAllowedLink: (url) => url.origin === origin })
const refuse = () => Promise.reject(new Error('this test does not use it'))
const engine: ExportEngine = {
  kind: createAvHealthExport(
    {
      openFile: exportFiles.open,
      listFiles: refuse,
      pages: () => ({ [Symbol.asyncIterator]: () => ({ next: refuse }) }),
    },
    { method: 'files', buckets: 16 },
  ),
  runs: createRunLedger(exportsTable, AV_HEALTH),
  files: createFileLedger(exportsTable, AV_HEALTH),
  links: createLinks(openSecrets(createTables({ connectionString: ledger })('Secrets')), clock),
  table: createTables({ connectionString: snapshots }),
  writer: createBatchWriter({ inFlight: 8, clock }),
  announce: refuse,
  clock,
  log: { info: () => {}, warn: () => {}, error: () => {} },
  trace: {},
  retention: { days: 1, graceMs: 0 },
}

const runId = '20261121030405abcd'
const now = clock.now().toISOString()
const run = {
  epoch: 1,
  state: 'importing',
  requestedMethod: 'files',
  force: false,
  method: 'files',
  startedAt: now,
}
await exportsTable.create()
await engine.runs.begin(
  toRun(runId, {
    ...run,
    progressAt: now,
    buckets: 16,
    listed: 1,
    snapshot: engine.kind.snapshotTable(runId),
  }),
)
const ref = { kind: AV_HEALTH, runId, epoch: 1 }
const listed = { path: 'the-only-one.json.gz', link, number: 1 }
await engine.links.write({ runId, generatedTime: null }, [listed])
await engine.files.write(ref, [listed])

let mostBuffered = 0
const watching = setInterval(() => {
  mostBuffered = Math.max(mostBuffered, process.memoryUsage().arrayBuffers)
}, 20)
const outcome = await importFile(engine, { ...ref, file: 1 })
clearInterval(watching)

const [file] = await engine.files.all(runId)
console.log(
  JSON.stringify({
    outcome,
    file,
    mostBufferedMiB: Math.round(mostBuffered / 2 ** 20),
    mostResidentMiB: Math.round(process.resourceUsage().maxRSS / 1024),
  }),
)
