import { Cron } from 'croner'

/** How the host reads a schedule: six fields, or five without seconds, in UTC; both kinds of days have to fit. */
const options = { paused: true, domAndDow: true, mode: '5-or-6-parts', timezone: 'UTC' } as const

/** Whether the host can read a schedule. */
export function isSchedule(text: string): boolean {
  try {
    new Cron(text, options)
    return true
  } catch {
    return false
  }
}

/** When a schedule comes next after a moment, RFC 3339; null when never. */
export const nextRun = (schedule: string, after: Date): string | null =>
  new Cron(schedule, options).nextRun(after)?.toISOString() ?? null
