import { z } from 'zod'
import type { Blobs } from '../platform/blobs.ts'
import { openParquet, type ParquetField, typeName } from '../platform/parquet.ts'
import type { Row } from '../platform/table.ts'
import { createRecords, lease, readable, rowCodec } from '../platform/table-record.ts'
import { HOUR_MS, MINUTE_MS } from '../platform/time.ts'
import { type ExportEngine, stamp } from './engine.ts'
import { readSlice, sliceNames } from './fleet-rows.ts'
import type { ParquetOutcome } from './names.ts'
import type { Run } from './run-record.ts'
import type { Current } from './run-store.ts'

/** How long one call writes, and how long it may be silent before another one takes over. */
const WORK_MS = 2 * MINUTE_MS
const LEASE_MS = 5 * MINUTE_MS
const RETRY_SECONDS = 60
/** The files of a snapshot that are not written so long after it was published are late. */
const LATE_MS = HOUR_MS
/** A file that is larger is ended, and another one goes on with its slice. */
const MAX_BYTES = 16 * 1024 ** 2

const storedFile = z.object({ path: z.string(), devices: z.number(), bytes: z.number() })

/** How far the files of the newest snapshot are written: row `parquet` of table `Exports`. */
export const parquetRow = rowCodec(
  z.object({
    runId: z.string(),
    state: z.enum(['writing', 'written', 'failed']),
    reason: z.string().nullable(),
    /** The last progress. */
    at: z.string(),
    /** The lease of who writes now. */
    writingUntil: z.string().nullable(),
    /** Slices that are done. */
    slices: z.number(),
    files: z.array(storedFile),
    /** The run that `current.json` names. */
    shown: z.string().nullable(),
  }),
)
type Progress = ReturnType<(typeof parquetRow)['read']>

/** Somebody else has the lease now. */
class Overtaken extends Error {}

const open = ({ table, kind }: ExportEngine) => ({
  records: createRecords(table('Exports'), parquetRow),
  key: { partitionKey: kind.name, rowKey: 'parquet' },
})

/**
 * Writes the current snapshot as Parquet files, one slice after the other: the files of the slices, then `manifest.json`,
 * then `current.json`, which readers follow. One call in all of the app writes at a time; a call that has used its time
 * answers `more`. A failure changes nothing that readers see, and never throws: it is stored as a problem when
 * `isLast`, and tried again otherwise. Repeated work writes the same bytes.
 */
export async function writeParquet(
  engine: ExportEngine,
  blobs: Blobs | undefined,
  { runId, isLast }: { runId: string; isLast: boolean },
): Promise<ParquetOutcome> {
  const { clock, log } = engine
  const [current, run] = blobs ? [await engine.runs.current(), await engine.runs.run(runId)] : []
  if (!blobs || !run?.snapshot || current?.runId !== runId) return { state: 'done' }
  const { records, key } = open(engine)
  const begun = { runId, slices: 0, files: [] }
  const none = { ...begun, state: 'writing', reason: null, at: '', writingUntil: null, shown: null }
  let waitMs = 0
  const stored = await records.update(key, (known = none as Progress) => {
    waitMs = 0
    if (known.runId === runId && known.state === 'written') return undefined
    const taken = lease(known, 'writingUntil', LEASE_MS, clock.now())
    waitMs = taken.waitMs
    if (!taken.record) return undefined
    const own = known.runId === runId ? {} : begun
    return { ...taken.record, ...own, state: 'writing', reason: null, at: stamp(clock) }
  })
  if (waitMs > 0) return { state: 'later', seconds: Math.ceil(waitMs / 1000) }
  if (!stored?.isWritten) return { state: 'done' }
  let mine: Progress = stored.record

  /** Stores progress and renews the lease, or releases it. */
  async function save(members: Partial<Progress>, release = false) {
    const writingUntil = release ? null : new Date(clock.now().getTime() + LEASE_MS).toISOString()
    const saved = await records.update(key, (known) =>
      known?.runId === runId && known.writingUntil === mine.writingUntil
        ? { ...known, ...members, at: stamp(clock), writingUntil }
        : undefined,
    )
    if (!saved?.isWritten) throw new Overtaken()
    mine = saved.record
  }

  try {
    const endMs = clock.now().getTime() + WORK_MS
    if (mine.slices === 0) await blobs.create()
    const names = sliceNames(run.comparison?.slices ?? 1)
    while (mine.slices < names.length) {
      // Another snapshot is current: its own run writes it.
      if ((await engine.runs.current())?.runId !== runId) throw new Overtaken()
      const files = await writeSlice(engine, blobs, run, names, mine.slices)
      const isOver = clock.now().getTime() >= endMs
      await save({ slices: mine.slices + 1, files: [...mine.files, ...files] }, isOver)
      if (isOver) return { state: 'more' }
    }
    await show(engine, blobs, current, mine)
    await save({ state: 'written', shown: runId }, true)
    log.info('parquet files written', { runId, files: mine.files.length, devices: run.written })
  } catch (error) {
    if (error instanceof Overtaken) return { state: 'done' }
    const reason = error instanceof Error ? error.message : String(error)
    log[isLast ? 'error' : 'warn']('parquet files not written', { runId, reason })
    await save({ state: isLast ? 'failed' : 'writing', reason }, true).catch(() => {})
    if (!isLast) return { state: 'later', seconds: RETRY_SECONDS }
  }
  return { state: 'done' }
}

const folderOf = (runId: string) => `run=${runId}`

/** Writes the files of one slice; none for an empty one. */
async function writeSlice(
  { table, kind }: ExportEngine,
  blobs: Blobs,
  run: Run,
  names: string[],
  index: number,
): Promise<Progress['files']> {
  const slice = names[index] ?? '~'
  const range = { slice, slices: names.length - 1, after: '' }
  const pages = readSlice(table(run.snapshot ?? ''), run.buckets, range, {}, 1)
  const files: Progress['files'] = []
  for await (const { devices, bytes } of encode(kind.fields, pages)) {
    const part = files.length === 0 ? slice : `${slice}-${files.length + 1}`
    const path = `${folderOf(run.runId)}/part=${part}.parquet`
    await blobs.put(path, bytes)
    files.push({ path, devices, bytes: bytes.length })
  }
  return files
}

async function* encode(fields: readonly ParquetField[], pages: AsyncIterable<Row[]>) {
  let file: Awaited<ReturnType<typeof openParquet>> | undefined
  for await (const rows of pages) {
    for (const { columns } of rows) {
      file ??= await openParquet(fields)
      file.add(columns)
      if (file.bytes() < MAX_BYTES) continue
      yield { devices: file.rows(), bytes: file.finish() }
      file = undefined
    }
  }
  if (file) yield { devices: file.rows(), bytes: file.finish() }
}

/** Writes the two files by which readers find the others. */
async function show({ kind }: ExportEngine, blobs: Blobs, current: Current, { files }: Progress) {
  const { runId, generatedTime, publishedAt, devices } = current
  const counted = files.reduce((sum, file) => sum + file.devices, 0)
  if (counted !== devices)
    throw new Error(`${counted} rows in the files, ${devices} devices in the snapshot`)
  const about = { version: 1, runId, generatedTime, publishedAt, devices }
  const columns = kind.fields.map(({ name, type }) => ({ name, type: typeName(type) }))
  const manifest = `${folderOf(runId)}/manifest.json`
  await blobs.put(manifest, JSON.stringify({ ...about, columns, files }))
  for (;;) {
    const before = await blobs.read('current.json')
    const shown =
      before && readable(() => z.object({ runId: z.string() }).parse(JSON.parse(before.text)))
    // An older run never goes before a newer one.
    if (shown && shown.runId >= runId) return
    const text = JSON.stringify({ ...about, manifest })
    if (await blobs.put('current.json', text, before?.etag ?? null)) return
  }
}

/** Why the files of the current snapshot are missing; undefined where they are written, or may still be. */
export async function findUnwritten(engine: ExportEngine) {
  const { records, key } = open(engine)
  const [current, stored] = await Promise.all([engine.runs.current(), records.read(key)])
  if (!current || !stored) return undefined
  const { runId, publishedAt } = current
  const own = stored.record.runId === runId ? stored.record : undefined
  const since = own?.at ?? publishedAt
  const isLate = engine.clock.now().getTime() - Date.parse(since) > LATE_MS
  if (own?.state === 'written' || (own?.state !== 'failed' && !isLate)) return undefined
  return { runId, since, reason: own?.reason ?? 'nothing writes them', shown: stored.record.shown }
}
