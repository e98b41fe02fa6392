import { Cron } from 'croner'

/** As the host reads schedules: six fields, or five without seconds, in UTC; both kinds of days must match. */
const options = { paused: true, domAndDow: true, mode: '5-or-6-parts', timezone: 'UTC' } as const

export function isSchedule(text: string): boolean {
  try {
    new Cron(text, options)
    return true
  } catch {
    return false
  }
}

/** The next run after a time, RFC 3339; null when there is none. */
export const nextRun = (schedule: string, after: Date): string | null =>
  new Cron(schedule, options).nextRun(after)?.toISOString() ?? null
