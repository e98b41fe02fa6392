import type { Clock } from '../../../shared/platform/time.ts'
import { dayMs, hourMs, momentAt, utcText } from '../moment.ts'
import { createRandom, guid, hexText } from '../random.ts'

/** One run of a scan; times are RFC 3339. */
export interface TenableRun {
  /** The run's number, `history_id`. */
  id: number
  /** A UUID, or 52 characters when the scan was imported. */
  uuid: string
  /** Its status until the first step. */
  status: string
  /** Its future changes, in order of time. */
  steps: { at: string; status: string }[]
  startedAt: string | null
  /** Ignored while the run is not over; null: the time of the step that ended it. */
  endedAt: string | null
  /** The findings on each host, or the number of hosts with findings. */
  hosts: Severities[] | number
  isRollover: boolean
}

/** A scan. Without runs it was never launched. */
export interface TenableScan {
  id: number
  /** 61 characters that begin with `template-`, or 52 when the scan was imported. */
  scheduleUuid: string
  name: string
  /** Imported scans and scans that an agent triggers have no list of runs; a scan of a web application has no details. */
  kind: 'remote' | 'triggered-agent' | 'imported' | 'web-app'
  /** The status of the answer for the details of a web application's scan. */
  webAppAnswer: 403 | 500
  /** Oldest first. */
  runs: TenableRun[]
}

/** The fields of a scan to add; all but the id are optional, also those of its runs. */
export type NewTenableScan = Partial<Omit<TenableScan, 'id' | 'runs'>> & {
  id: number
  runs?: Partial<TenableRun>[]
}

const archivedAfterMs = 35 * dayMs
/** No run in one of these states will change by itself. */
const overStatuses = ['completed', 'imported', 'canceled', 'aborted', 'stopped']
const startlessStatuses = ['pending', 'initializing']

/** Fills in the missing fields of a scan: by default it has one run, completed an hour ago. */
export function fillTenableScan(partial: NewTenableScan, clock: Clock): TenableScan {
  const { id, kind = 'remote', runs = [{}] } = partial
  const nowMs = clock.now().getTime()
  return {
    name: `Scan ${id}`,
    webAppAnswer: 403,
    ...partial,
    kind,
    scheduleUuid:
      partial.scheduleUuid ?? `${kind === 'imported' ? '' : 'template-'}${longId(id, 50)}`,
    runs: runs.map((run, place) => {
      const { status = kind === 'imported' ? 'imported' : 'completed' } = run
      const weekOldMs = (runs.length - 1 - place) * 7 * dayMs
      const startedAt =
        run.startedAt ??
        (startlessStatuses.includes(status) ? null : timeAt(nowMs - 2 * hourMs - weekOldMs))
      const startMs = startedAt ? Date.parse(startedAt) : nowMs
      return {
        id: 10_000_000 + id * 100 + place,
        uuid:
          kind === 'imported' ? longId(id, startMs / 1000) : guid(id, startMs / 1000, place, 51),
        steps: [],
        endedAt: overStatuses.includes(status) ? timeAt(Math.min(startMs + hourMs, nowMs)) : null,
        hosts: 3,
        isRollover: false,
        ...run,
        status,
        startedAt,
      }
    }),
  }
}

/** The state of a run at a moment of the clock. */
export interface RunNow {
  status: string
  startedAtMs: number | null
  endedAtMs: number | null
  isOver: boolean
  /** True when most of its details were removed. */
  isArchived: boolean
}

/** The state of a run now. */
export function runNow(run: TenableRun, now: Date): RunNow {
  const done = run.steps.filter(({ at }) => Date.parse(at) <= now.getTime())
  const last = done.at(-1)
  const status = last?.status ?? run.status
  const isOver = overStatuses.includes(status)
  const started =
    run.startedAt ?? done.find((step) => !startlessStatuses.includes(step.status))?.at ?? null
  const ended = isOver ? (run.endedAt ?? last?.at ?? null) : null
  return {
    status,
    startedAtMs: started === null ? null : Date.parse(started),
    endedAtMs: ended === null ? null : Date.parse(ended),
    isOver,
    isArchived: ended !== null && now.getTime() - Date.parse(ended) > archivedAfterMs,
  }
}

/** The run with this number or UUID; the newest one without either. */
export function findRun({ runs }: TenableScan, id: string | null): TenableRun | undefined {
  return id === null ? runs.at(-1) : runs.find((run) => String(run.id) === id || run.uuid === id)
}

const timeAt = (ms: number) => utcText(momentAt(ms))

/** A UUID and more characters: 52 altogether. */
const longId = (...seeds: number[]) => `${guid(...seeds).slice(0, 24)}${hexText(28, ...seeds, 52)}`

/** Findings by severity. */
export interface Severities {
  info: number
  low: number
  medium: number
  high: number
  critical: number
}

/** From the lowest, as the levels 0 to 4. */
export const severityNames = ['info', 'low', 'medium', 'high', 'critical'] as const

/** The findings on each host of a run; when only the number of hosts is known, they are generated, the same for the same run. */
export function findingsOf({
  id,
  hosts,
}: {
  id: number
  hosts: Severities[] | number
}): Severities[] {
  if (Array.isArray(hosts)) return hosts
  const random = createRandom(id, 53)
  return Array.from({ length: hosts }, () => ({
    info: 10 + random.int(60),
    low: random.int(4),
    medium: random.int(12),
    high: random.int(6),
    critical: random.chance(0.3) ? random.int(4) : 0,
  }))
}

/** Findings of all hosts together. */
export function totalOf(findings: Severities[]): Severities {
  const total: Severities = { info: 0, low: 0, medium: 0, high: 0, critical: 0 }
  for (const one of findings) for (const name of severityNames) total[name] += one[name]
  return total
}
