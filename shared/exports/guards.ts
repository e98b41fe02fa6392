import { DAY_MS, MINUTE_MS } from '../platform/time.ts'
import type { ExportEngine } from './engine.ts'
import { type countFiles, type End, type FileRecord, isEarlier, type Run } from './run-record.ts'
import type { Current } from './run-store.ts'

/** Shares of all rows, and of the devices before. */
const MAX_BAD = 0.01
const MIN_DEVICES = 0.8
/** When so many runs over so long agree, the fleet is really smaller. A timer may fire some seconds late. */
const AGREEING_RUNS = 3
const AGREEING_MS = DAY_MS - MINUTE_MS
const AGREEING_SHARE = 0.02

/** Decides whether a run is published; `current` is the snapshot that it would replace. */
export async function decideOutcome(
  { runs, acceptsFewer }: ExportEngine,
  run: Run,
  counts: ReturnType<typeof countFiles>,
  files: FileRecord[],
  current: Current | undefined,
): Promise<End> {
  const devicesBefore = current?.devices ?? null
  const published = (reason: string | null): End => ({ state: 'published', reason, devicesBefore })
  const failed = (reason: string, guard: End['guard'] = null): End => {
    return { state: 'failed', reason, guard, devicesBefore }
  }
  const { parsed, written, duplicates, rejected, unreadableRows } = counts
  const bad = files.filter((file) => file.state !== 'imported')
  if (bad.length > 0) {
    const causes = [...Map.groupBy(bad, ({ reason }) => reason)].slice(0, 3)
    const named = causes.map(([reason, [first, ...more]]) => {
      const others = more.length > 0 ? ` and ${more.length} more` : ''
      return `${reason} (${first?.path}${others})`
    })
    return failed(
      run.reason ?? `${bad.length} of ${files.length} files failed: ${named.join(', ')}`,
    )
  }
  if (counts.listed !== run.listed || counts.imported !== run.listed)
    return failed(`${counts.imported} of ${run.listed} listed files were imported`)
  if (parsed !== written + duplicates + rejected) return failed('the counts do not agree')
  // A run that a guard stopped is published on request, an older export after pages when it is forced.
  const isReplaced = run.guard
    ? current && current.runId > run.runId
    : isEarlier(run.generatedTime, current?.generatedTime ?? null) &&
      !(run.force && current?.method === 'json')
  if (isReplaced) return failed('a newer snapshot was published meanwhile')
  if (run.guard) return published(`published on request: ${run.reason}`)
  if (rejected > parsed * MAX_BAD) {
    const [first] = files.flatMap(({ rejects }) => rejects)
    const why = `the first because ${first?.reason}`
    return failed(`rejected lines: ${rejected} of ${parsed}, ${why}`, 'rejected')
  }
  if (unreadableRows > parsed * MAX_BAD) {
    const byCount = Object.entries(counts.unreadable).sort(([, one], [, other]) => other - one)
    const named = byCount.slice(0, 3).map(([name, times]) => `${name} in ${times}`)
    const rows = `${unreadableRows} of ${parsed} rows`
    return failed(`values in ${rows} can't be read: ${named.join(', ')}`, 'unreadable')
  }
  if (!current && written === 0) return { state: 'empty', reason: 'no file held a device' }
  if (!current || written >= (acceptsFewer ? 1 : current.devices * MIN_DEVICES))
    return published(null)
  const reason = shrinkage(written, current)
  return (await isLasting(runs, run, written, current))
    ? published(`${reason}, as in ${AGREEING_RUNS} runs over 24 hours`)
    : failed(reason, 'devices')
}

export const shrinkage = (devices: number, before: Current): string =>
  `${devices} devices, below ${MIN_DEVICES * 100} % of the ${before.devices} in snapshot ${before.runId}`

/** Whether the runs since the current snapshot agree for so long that the fleet has so many devices. */
async function isLasting(
  { runs }: ExportEngine['runs'],
  { runId, startedAt }: Run,
  written: number,
  current: Current,
): Promise<boolean> {
  let [devices, agreeing, since] = [written, 1, startedAt]
  for (const before of await runs(100, runId)) {
    if (written === 0 || before.runId <= current.runId) break
    if (before.guard !== 'devices') continue
    if (Math.abs(devices - before.written) > before.written * AGREEING_SHARE) break
    agreeing += 1
    devices = before.written
    since = before.startedAt
  }
  return agreeing >= AGREEING_RUNS && Date.parse(startedAt) - Date.parse(since) >= AGREEING_MS
}
