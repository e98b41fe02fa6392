import { Cron } from 'croner'

/** When a timer runs, in UTC. */
export interface Schedule {
  /** The first occurrence after `moment`; undefined when there is none. */
  next(moment: Date): Date | undefined
  /** Whether a minute or more always lies between two runs, counted from `moment`: only such a schedule is remembered. */
  isSlow(moment: Date): boolean
}

/** Reads an NCRONTAB expression (6 fields, or 5 without seconds); throws a sentence for anything else. */
export function parseSchedule(text: string): Schedule {
  const fields = text.trim().split(/\s+/)
  // croner knows more (L, W, #, nicknames) than NCRONTAB does.
  const known = fields.every((field) =>
    /^(\*|\d+|[A-Za-z]{3})([-/,](\*|\d+|[A-Za-z]{3}))*$/.test(field),
  )
  if (!known || fields.length < 5 || fields.length > 6)
    throw new Error(`the schedule '${text}' is not NCRONTAB`)
  let cron: Cron
  try {
    cron = new Cron(fields.join(' '), {
      timezone: 'UTC',
      paused: true,
      domAndDow: true,
      mode: '5-or-6-parts',
    })
  } catch {
    throw new Error(`the schedule '${text}' is not NCRONTAB`)
  }
  const next = (moment: Date) => cron.nextRun(moment) ?? undefined
  return {
    next,
    isSlow(moment) {
      let from = next(moment)
      for (let seen = 0; seen < 10 && from; seen += 1) {
        const after = next(from)
        if (after && after.getTime() - from.getTime() < 60_000) return false
        from = after
      }
      return true
    },
  }
}
