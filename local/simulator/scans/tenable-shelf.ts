import type { Clock } from '../../../shared/platform/time.ts'
import { createScanShelf, type ScanShelf } from './scan-shelf.ts'
import {
  fillTenableScan,
  findRun,
  type GivenTenableScan,
  runNow,
  type TenableRun,
  type TenableScan,
} from './tenable-scan.ts'

/** Tenable's scans, found by number or by `schedule_uuid`; their runs can be moved on by hand. */
export interface TenableShelf extends ScanShelf<GivenTenableScan, TenableScan> {
  /** Starts a new run now. */
  startRun(id: string | number, given?: Partial<TenableRun>): TenableRun
  /** Changes a run now, the newest one by default; a new status starts or ends it, and its steps to come are off. */
  changeRun(id: string | number, patch: Partial<TenableRun>, run?: string | number): TenableRun
}

/** Makes the shelf. */
export function createTenableShelf(clock: Clock): TenableShelf {
  const shelf = createScanShelf(
    (given: GivenTenableScan) => fillTenableScan(given, clock),
    ({ id, scheduleUuid }: TenableScan) => [id, scheduleUuid],
  )
  function runOf(id: string | number, run: string | number | null = null) {
    const scan = shelf.get(id)
    const found = scan && findRun(scan, run === null ? null : String(run))
    if (!scan || !found) throw new Error(`There is no such run of scan ${id}.`)
    return { scan, found }
  }
  return {
    ...shelf,
    startRun(id, given = {}) {
      const startedAt = clock.now().toISOString()
      shelf.change(id, {
        runs: [...(shelf.get(id)?.runs ?? []), { status: 'running', startedAt, ...given }],
      })
      return runOf(id).found
    },
    changeRun(id, patch, run) {
      const { scan, found } = runOf(id, run)
      const now = clock.now()
      const { status, endedAtMs } = runNow(found, now)
      const changed = { ...found, status, steps: [], ...patch }
      const after = runNow(changed, now)
      const started =
        after.startedAtMs === null && after.status !== 'pending'
          ? { startedAt: now.toISOString() }
          : {}
      const ended = after.isOver && endedAtMs === null ? { endedAt: now.toISOString() } : {}
      const next = { ...changed, ...started, ...ended, ...patch }
      shelf.change(id, { runs: scan.runs.map((one) => (one === found ? next : one)) })
      return runOf(id, next.id).found
    },
  }
}
