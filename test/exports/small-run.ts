import { Readable } from 'node:stream'
import { TableServiceClient } from '@azure/data-tables'
import { type AdjustableClock, createAdjustableClock } from '../../local/clock.ts'
import { openSecrets } from '../../shared/app/sections/base.ts'
import { createAvHealthExport } from '../../shared/av-health/export.ts'
import { beginRun, renewLinks } from '../../shared/exports/begin.ts'
import type { Executor, ExportEngine } from '../../shared/exports/engine.ts'
import { createFileLedger, createLinks } from '../../shared/exports/file-store.ts'
import { importFile } from '../../shared/exports/import.ts'
import type { ExportKind, Listing } from '../../shared/exports/kind.ts'
import type { RunRef } from '../../shared/exports/names.ts'
import { publishRun } from '../../shared/exports/publish.ts'
import { createRunLedger } from '../../shared/exports/run-store.ts'
import { createTables } from '../../shared/platform/azure-table.ts'
import { createBatchWriter } from '../../shared/platform/batch-writer.ts'
import { UpstreamError } from '../../shared/platform/errors.ts'
import { createLog } from '../../shared/platform/log.ts'
import type { Table } from '../../shared/platform/table.ts'
import { createMemoryTable } from '../memory-table.ts'
import { freshStorage } from '../storage.ts'

export type Tables = (name: string) => Table

const isOfData = (name: string) => name !== 'Secrets'

/** Tables in memory, and which of the data account exist. */
export function createMemoryTables() {
  const opened = new Map<string, Table>()
  const tables: Tables = (name) => {
    const table = opened.get(name) ?? createMemoryTable(name)
    opened.set(name, table)
    return table
  }
  const exists = async (table: Table) => {
    try {
      await table.page({}, { limit: 1 })
      return true
    } catch {
      return false
    }
  }
  const names = async () => {
    const found: string[] = []
    for (const table of opened.values()) if (await exists(table)) found.push(table.name)
    return found.filter(isOfData).sort()
  }
  return { tables, names }
}

export type Storage = ReturnType<typeof createMemoryTables>

/** Tables of a new account of the emulator, for a sample of the cases that run in memory. */
export async function createStoredTables(): Promise<Storage> {
  const connectionString = await freshStorage()
  const service = TableServiceClient.fromConnectionString(connectionString, {
    allowInsecureConnection: true,
  })
  return {
    tables: createTables({ connectionString }),
    names: async () =>
      (await Array.fromAsync(service.listTables()))
        .flatMap(({ name }) => name ?? [])
        .filter(isOfData)
        .sort(),
  }
}

const id = (letter: string) => letter.repeat(40)
const row = (letter: string, mode: number, seen = 1) =>
  JSON.stringify({
    DeviceId: id(letter),
    AvMode: String(mode),
    LastSeenTime: `2026-11-20T05:00:0${seen}Z`,
  })

/** The data of a small upstream: files of lines, or pages of rows. */
export interface SmallExport {
  generatedTime: string | null
  files: Record<string, string[]>
}

/** Three files with five devices; one device is in two files. */
export const smallExport: SmallExport = {
  generatedTime: '2026-11-20T06:00:00Z',
  files: {
    'group=1/part.json.gz': [row('a', 0), row('f', 0)],
    'group=2/part.json.gz': [row('1', 0), row('a', 1, 2)],
    'group=3/part.json.gz': [row('7', 0), row('c', 0)],
  },
}

/** The same fleet a moment later: one device is gone, another has changed. */
export const laterExport: SmallExport = {
  generatedTime: '2026-11-20T12:00:00Z',
  files: {
    'group=1/part.json.gz': [row('f', 2), row('a', 2)],
    'group=2/part.json.gz': [row('1', 2), row('7', 0)],
  },
}

const brokenOff = new UpstreamError({
  upstream: 'small',
  call: 'GET list',
  reason: 'truncated',
  retryable: true,
})

/** An upstream in a few lines: the first listing holds a link that has expired, the first paged list breaks off. */
export function createSmallUpstream(first = smallExport) {
  const upstream = { now: first, listings: 0, asked: 0, announced: new Set<string>() }
  const stored = new Map<string, string[]>()
  const source = {
    async listFiles(): Promise<Listing> {
      upstream.listings += 1
      const { generatedTime, files } = upstream.now
      const listed = Object.entries(files).map(([path, lines], index) => {
        const isOver = upstream.listings === 1 && index === 1
        const link = `https://store.example/${path}?${isOver ? 'over' : 'good'}&sig=secret-${stored.size}`
        stored.set(link, lines)
        return { path, link }
      })
      return { generatedTime, files: listed }
    },
    async openFile(link: string) {
      if (link.includes('?over')) return { kind: 'expired' } as const
      // A link leads to the export that it was listed with, also after a newer export.
      const lines = stored.get(link)
      if (!lines) return { kind: 'gone' } as const
      const text = Buffer.from(lines.join('\n'))
      return {
        kind: 'open',
        body: Readable.from([text]),
        bytes: { packed: text.length },
      } as const
    },
    async *pages() {
      upstream.asked += 1
      for (const [index, lines] of Object.values(upstream.now.files).entries()) {
        if (index > 0 && upstream.asked === 1) throw brokenOff
        yield {
          rows: lines.map((line) => JSON.parse(line)),
          date: new Date('2026-11-20T07:00:00Z'),
        }
      }
    },
  }
  return { upstream, source }
}

export type SmallUpstream = ReturnType<typeof createSmallUpstream>

/** An engine over tables; its log is recorded. */
export function createSmallEngine(
  tables: Tables,
  { source, upstream }: SmallUpstream,
  options: {
    method?: ExportKind['method']
    clock?: AdjustableClock
    retention?: ExportEngine['retention']
    lines?: string[]
    buckets?: number
  } = {},
): ExportEngine {
  const { method = 'files', clock = createAdjustableClock(), lines = [], buckets = 4 } = options
  const keep = (line: string) => void lines.push(line)
  return {
    kind: createAvHealthExport(source, { method, buckets }),
    runs: createRunLedger(tables('Exports'), 'av-health'),
    files: createFileLedger(tables('Exports'), 'av-health'),
    links: createLinks(openSecrets(tables('Secrets')), clock),
    table: tables,
    writer: createBatchWriter({ inFlight: 2, clock }),
    announce: async ({ runId }) => void upstream.announced.add(runId),
    clock,
    log: createLog({ info: keep, warn: keep, error: keep }),
    trace: {},
    retention: options.retention ?? { days: 30, graceMs: 3_600_000 },
  }
}

/** An executor without instances that records what it should start. */
export function createListeningExecutor(
  status: () => ReturnType<Executor['status']> = async () => 'absent',
) {
  const started: RunRef[] = []
  const terminated: string[] = []
  const executor: Executor = {
    async start(_orchestrator, _instanceId, input) {
      started.push(input as RunRef)
    },
    status,
    async terminate(instanceId) {
      terminated.push(instanceId)
    },
  }
  return { executor, started, terminated }
}

/** Does the work of the orchestration, one activity after the other. */
export async function drive(engine: ExportEngine, ref: RunRef): Promise<void> {
  const begun = await beginRun(engine, ref)
  if (begun.state !== 'importing') {
    if (begun.state === 'later') await publishRun(engine, ref)
    return
  }
  await importAll(engine, ref, begun.files)
  await publishRun(engine, ref)
}

/** Imports files, each at most four times, with new links when they are needed. */
export async function importAll(engine: ExportEngine, ref: RunRef, files: number[]): Promise<void> {
  for (const file of files) {
    for (let tries = 0; tries < 4; tries++) {
      const { state } = await importFile(engine, { ...ref, file })
      if (state === 'done') break
      if (state === 'expired') await renewLinks(engine, { ...ref, files: [file] })
    }
  }
}
