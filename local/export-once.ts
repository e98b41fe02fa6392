import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { runSchema, runSummarySchema } from '../shared/exports/view.ts'

/** An export run as the HTTP surface shows it. */
export type Run = z.infer<typeof runSchema>

/** What the main job came to: the `--once` line. */
export const onceSchema = runSummarySchema.extend({
  ok: z.boolean(),
  /** Devices in the current snapshot, whichever run made it. */
  devices: z.int(),
  seconds: z.number(),
  /** Rows that this process has read, a second; a run that was taken up again has others. */
  rowsPerSecond: z.int(),
})
export type OnceReport = z.infer<typeof onceSchema>

/** How a run stands. */
export interface Standing {
  run: Run
  rowsPerSecond: number
}

export interface OnceOptions {
  url: string
  /** A function key. */
  key: string
  signal: AbortSignal
  onProgress(standing: Standing): void
  /** Looks after runs that nothing executes any more, as a timer does every few minutes. */
  resume(): Promise<void>
  /** After how long without any change that is asked for. */
  quietMs?: number
}

const finalStates = new Set<Run['state']>(['published', 'unchanged', 'empty', 'failed'])
const LOOK_EVERY_MS = 250
const QUIET_MS = 5000

const startedSchema = z.object({ runId: z.string(), joined: z.boolean() })
const snapshotsSchema = z.object({
  snapshots: z.array(z.object({ current: z.boolean(), devices: z.int() })),
})

/**
 * Runs one export over HTTP, as any caller would, and tells its progress until it is over. A run that was left unfinished is
 * finished; when that one fails, a new one has its turn.
 */
export async function exportOnce(options: OnceOptions): Promise<OnceReport> {
  const call = callerOf(options)
  const start = () => call('POST', 'av-health/exports', startedSchema)
  const first = await start()
  let end = await follow(options, call, first)
  if (end.run.state === 'failed' && first.joined) end = await follow(options, call, await start())
  const { seconds, rowsPerSecond } = end
  const { files: _files, next: _next, ...summary } = end.run
  const { snapshots } = await call('GET', 'av-health/snapshots', snapshotsSchema)
  const devices = snapshots.find(({ current }) => current)?.devices ?? 0
  const ok = summary.state === 'published' || summary.state === 'unchanged'
  return { ok, ...summary, devices, seconds: Math.round(seconds * 10) / 10, rowsPerSecond }
}

type Call = <S extends z.ZodType>(method: string, path: string, answer: S) => Promise<z.output<S>>

function callerOf({ url, key, signal }: OnceOptions): Call {
  return async (method, path, answer) => {
    const response = await fetch(`${url}/api/${path}`, {
      method,
      headers: { 'x-functions-key': key },
      signal,
    })
    const text = await response.text()
    if (!response.ok)
      throw new Error(`${method} /api/${path} answered ${response.status}: ${text.slice(0, 500)}`)
    return answer.parse(JSON.parse(text))
  }
}

/** Looks at a run again and again until it is over. */
async function follow(
  { signal, onProgress, resume, quietMs = QUIET_MS }: OnceOptions,
  call: Call,
  { runId, joined }: z.output<typeof startedSchema>,
): Promise<Standing & { seconds: number }> {
  const beganAt = performance.now()
  let rowsBefore = joined ? undefined : 0
  let seen = ''
  let changedAt = beganAt
  for (;;) {
    const run = await call('GET', `av-health/exports/${runId}?limit=1000`, runSchema)
    rowsBefore ??= run.counts.parsed
    const seconds = (performance.now() - beganAt) / 1000
    const rowsPerSecond = Math.round((run.counts.parsed - rowsBefore) / Math.max(seconds, 0.1))
    onProgress({ run, rowsPerSecond })
    if (finalStates.has(run.state)) return { run, rowsPerSecond, seconds }

    const look = JSON.stringify(run)
    if (look !== seen) [seen, changedAt] = [look, performance.now()]
    else if (performance.now() - changedAt > quietMs) {
      // An activity that was killed again and again takes its orchestration along: nobody should wait for the timer.
      await resume()
      changedAt = performance.now()
    }
    await sleep(LOOK_EVERY_MS, undefined, { signal })
  }
}
