import { setTimeout as sleep } from 'node:timers/promises'
import type { z } from 'zod'
import type { runSchema } from '../shared/exports/run-view.ts'

/** An export run as the HTTP surface shows it. */
export type Run = z.infer<typeof runSchema>

/** What the main job came to: the `--once` line. */
export interface OnceReport extends Omit<Run, 'files' | 'next'> {
  ok: boolean
  devices: number
  seconds: number
  rowsPerSecond: number
}

const finalStates = new Set(['published', 'unchanged', 'empty', 'failed'])
const LOOK_EVERY_MS = 250

/** Runs one export over HTTP, as any caller would, and reports its progress until it is over. */
export async function exportOnce(url: string, key: string, onProgress: (run: Run) => void): Promise<OnceReport> {
  const call = async (method: string, path: string) => {
    const headers = { 'x-functions-key': key }
    const response = await fetch(`${url}/api/${path}`, { method, headers })
    const body = await response.json().catch(() => ({}))
    if (!response.ok) throw new Error(`${method} /api/${path} answered ${response.status}: ${JSON.stringify(body)}`)
    return body
  }
  const beganAt = performance.now()
  const { runId } = (await call('POST', 'av-health/exports')) as { runId: string }
  for (;;) {
    const run = (await call('GET', `av-health/exports/${runId}?limit=1000`)) as Run
    onProgress(run)
    if (finalStates.has(run.state)) {
      const { files: _files, next: _next, ...summary } = run
      const seconds = Math.round((performance.now() - beganAt) / 100) / 10
      const devices = await countDevices(call)
      const rowsPerSecond = Math.round(run.counts.parsed / Math.max(seconds, 0.1))
      return { ok: run.state === 'published' || run.state === 'unchanged', ...summary, devices, seconds, rowsPerSecond }
    }
    await sleep(LOOK_EVERY_MS)
  }
}

async function countDevices(call: (method: string, path: string) => Promise<unknown>): Promise<number> {
  const { snapshots } = (await call('GET', 'av-health/snapshots')) as {
    snapshots: { current: boolean; devices: number }[]
  }
  return snapshots.find(({ current }) => current)?.devices ?? 0
}

/** Shows a run's progress on a stream: a bar that moves on a terminal, a line now and then elsewhere. */
export function createProgress(out: NodeJS.WriteStream): { show(run: Run): void; end(): void } {
  const beganAt = performance.now()
  let lastLineAt = -Infinity
  let lastState = ''
  return {
    show(run) {
      const { imported, listed, parsed } = run.counts
      const seconds = (performance.now() - beganAt) / 1000
      const rate = Math.round(parsed / Math.max(seconds, 0.1))
      const waiting = run.files.filter((file) => file.state === 'not-ready' || file.state === 'expired').length
      const tail = waiting > 0 ? `, ${waiting} waiting` : ''
      const text = `${run.state}: ${imported}/${listed} files, ${parsed} rows, ${rate} rows/s${tail}`
      if (out.isTTY) {
        const full = listed > 0 ? Math.round((imported / listed) * 30) : 0
        out.write(`\r\x1b[2K[${'#'.repeat(full)}${'.'.repeat(30 - full)}] ${text}`)
      } else if (run.state !== lastState || seconds - lastLineAt >= 5) {
        lastState = run.state
        lastLineAt = seconds
        out.write(`${text}\n`)
      }
    },
    end() {
      if (out.isTTY) out.write('\n')
    },
  }
}
