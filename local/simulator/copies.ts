import { type Moment, momentAt } from './moment.ts'

/** When a copy was refreshed and when its device was last seen. */
export interface CopyTimes {
  refreshedAt: Moment
  seenAt: Moment
}

/** The two copies of a device that stands twice, and which of them must stay. */
export interface Copies {
  lower: CopyTimes
  higher: CopyTimes
  winner: 'lower' | 'higher'
}

/**
 * The times of the k-th device that stands twice; `lower` is the copy in the file with the lower number. The newest
 * refresh stays, then the newest sighting, then the lower file: the cases take turns. No full tie unless `tieAllowed`.
 */
export function copiesOf(k: number, generatedMs: number, tieAllowed: boolean): Copies {
  const hours = (ago: number, fraction = '') => momentAt(generatedMs - ago * 3_600_000, fraction)
  const base = { refreshedAt: hours(1), seenAt: hours(20) }
  const cases: Copies[] = [
    { lower: { ...base, refreshedAt: hours(0) }, higher: base, winner: 'lower' },
    { lower: base, higher: { ...base, refreshedAt: hours(0) }, winner: 'higher' },
    { lower: { ...base, seenAt: hours(19) }, higher: base, winner: 'lower' },
    { lower: base, higher: { ...base, seenAt: hours(19) }, winner: 'higher' },
    // An older sighting does not matter where the refresh is newer.
    {
      lower: { ...base, seenAt: hours(3) },
      higher: { refreshedAt: hours(0.5), seenAt: hours(90) },
      winner: 'higher',
    },
    // Newer by less than a second: as text, and cut to seconds, the two look alike or the wrong way round.
    { lower: base, higher: { ...base, refreshedAt: hours(1, '5') }, winner: 'higher' },
    { lower: { ...base, refreshedAt: hours(1, '0000001') }, higher: base, winner: 'lower' },
    { lower: base, higher: base, winner: 'lower' },
  ]
  const usable = tieAllowed ? cases : cases.slice(0, -1)
  return usable[k % usable.length] ?? { lower: base, higher: base, winner: 'lower' }
}
