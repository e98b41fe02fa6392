import type { App } from '../app.ts'
import { ConfigError } from '../platform/errors.ts'
import type { Announcement } from '../platform/retirement.ts'
import type { Problem } from './problems.ts'

/**
 * Message Center post MC1220762: Microsoft's older Defender APIs stop on this day. It does not say which routes are meant,
 * and most that the app asks have no counterpart in Microsoft Graph.
 */
const retirement = { post: 'MC1220762', endsAt: '2027-02-01T00:00:00.000Z' }
const DAY_MS = 24 * 60 * 60_000
/** From then on it stands in the status. */
const NOTICE_DAYS = 120
/** From then on it is an alarm. */
const ALARM_DAYS = 30

/** The end of an endpoint that lies ahead: by the calendar, or by what an upstream says in its answers. */
export type ComingEnd =
  | {
      cause: 'date'
      upstream: 'defender'
      post: string
      endsAt: string
      daysLeft: number
      isNear: boolean
    }
  | ({ cause: 'announced'; upstream: 'defender' | 'tenable'; isNear: true } & Announcement)

/** Every end that lies ahead. */
export async function comingEnds(app: App): Promise<ComingEnd[]> {
  const announced = await Promise.all([
    announcedBy('defender', app.defender),
    announcedBy('tenable', app.tenable),
  ])
  return [...byDate(app.clock.now()), ...announced.flat()]
}

function byDate(now: Date): ComingEnd[] {
  const daysLeft = Math.ceil((Date.parse(retirement.endsAt) - now.getTime()) / DAY_MS)
  // Afterwards the answers tell.
  if (daysLeft < 0 || daysLeft > NOTICE_DAYS) return []
  return [
    {
      cause: 'date',
      upstream: 'defender',
      ...retirement,
      daysLeft,
      isNear: daysLeft <= ALARM_DAYS,
    },
  ]
}

async function announcedBy(
  upstream: 'defender' | 'tenable',
  open: () => Promise<{ retirement: { report(): Promise<Announcement | undefined> } }>,
): Promise<ComingEnd[]> {
  try {
    const announcement = await (await open()).retirement.report()
    return announcement ? [{ cause: 'announced', upstream, isNear: true, ...announcement }] : []
  } catch (error) {
    if (error instanceof ConfigError) return []
    throw error
  }
}

/** The same in words: nothing is wrong yet. */
export const toNotice = (end: ComingEnd): Problem => ({
  title:
    end.cause === 'date'
      ? `Defender's API may end on ${end.endsAt.slice(0, 10)}, in ${end.daysLeft} days (${end.post})`
      : `${end.upstream === 'defender' ? 'Defender' : 'Tenable'} announces the end of ${end.call}${end.endsAt ? ` on ${end.endsAt.slice(0, 10)}` : ''}`,
  remedy: 'Read the announcement, and look for a newer version of this app before that day.',
})
