/** For whom a call is made; neither lane can take the places that the other needs. */
export type Lane = 'person' | 'poll'

/** The lanes, in the order in which they are served. */
export const lanes = ['person', 'poll'] as const satisfies Lane[]

/** How many calls an upstream allows in any minute and in any hour. */
export interface CallLimit {
  perMinute: number
  perHour: number
}

/** The places that were given away in one bucket of five seconds of the table service's time. */
export interface Given {
  bucket: number
  person: number
  poll: number
}

/** How long a bucket lasts. */
export const BUCKET_MS = 5000
/**
 * Places are used up to five seconds after their bucket: calls of buckets that are this many apart can't meet in one
 * minute, or in one hour. That is 65 s and a good 60 min before the present bucket, in the hour with some to spare.
 */
const MINUTE_BUCKETS = 14
const HOUR_BUCKETS = 732
/** What others do under our name, and what a slow network shifts, has the rest. */
const USED_SHARE = 0.9
/** The part of a limit that each lane has for itself. */
const LANE_SHARE = 0.3

/** What of an upstream's limit is used. */
export const usableOf = ({ perMinute, perHour }: CallLimit): CallLimit => ({
  perMinute: Math.max(1, Math.floor(perMinute * USED_SHARE)),
  perHour: Math.max(1, Math.floor(perHour * USED_SHARE)),
})

/** The number of the bucket that a time belongs to. */
export const bucketOf = (ms: number): number => Math.floor(ms / BUCKET_MS)

/** Adds places of the newest bucket to what was given: one entry a bucket, so that an hour is bounded whoever calls how often. */
export function addGiven(given: Given[], { bucket, person, poll }: Given): Given[] {
  const last = given.at(-1)
  if (last?.bucket !== bucket) return [...given, { bucket, person, poll }]
  return [...given.slice(0, -1), { bucket, person: last.person + person, poll: last.poll + poll }]
}

/** What still counts in a bucket; the rest can be forgotten. */
export const withinHour = (given: Given[], bucket: number): Given[] =>
  given.filter((one) => bucket - one.bucket < HOUR_BUCKETS)

const withinMinute = (given: Given[], bucket: number) =>
  given.filter((one) => bucket - one.bucket < MINUTE_BUCKETS)

/** The places given away within the minute and the hour that end with a bucket. */
export const givenBy = (given: Given[], bucket: number): CallLimit => ({
  perMinute: sum(withinMinute(given, bucket)),
  perHour: sum(withinHour(given, bucket)),
})

/** How many places a lane may have in a bucket, beside those that were given away already. `limit` is the usable one. */
export function placesIn(bucket: number, lane: Lane, given: Given[], limit: CallLimit): number {
  const own = ownShare(limit)
  const other = lane === 'person' ? 'poll' : 'person'
  const minute = withinMinute(given, bucket)
  const minuteLeft = limit.perMinute - sum(minute) - Math.max(0, own - sum(minute, other))
  const hourLeft = limit.perHour - sum(withinHour(given, bucket))
  // A lane's own share is always there; beyond it, only what leaves both lanes theirs for the hour to come.
  const ownLeft = own - sum(minute, lane)
  return Math.max(
    0,
    Math.min(minuteLeft, hourLeft, Math.max(ownLeft, spareIn(bucket, given, limit.perHour, own))),
  )
}

/** From which bucket on a lane may have so many places if nobody else takes any; an hour on, it may have all there are. */
export function nextBucket(
  bucket: number,
  places: number,
  lane: Lane,
  given: Given[],
  limit: CallLimit,
): number {
  let next = bucket + 1
  while (next < bucket + HOUR_BUCKETS && placesIn(next, lane, given, limit) < places) next += 1
  return next
}

/** How many places a lane has for itself in any minute, whatever the other one took. */
const ownShare = ({ perMinute, perHour }: CallLimit): number =>
  Math.floor(LANE_SHARE * Math.min(perMinute, perHour / Math.ceil(HOUR_BUCKETS / MINUTE_BUCKETS)))

/**
 * How many places nobody will need: what was given away since any bucket, and what both lanes may take of their own
 * until that bucket leaves the hour, must stay below the limit.
 */
function spareIn(bucket: number, given: Given[], perHour: number, own: number): number {
  const reserved = (buckets: number) => 2 * own * (Math.ceil(buckets / MINUTE_BUCKETS) + 1)
  let spare = perHour - reserved(HOUR_BUCKETS)
  let since = 0
  for (const one of withinHour(given, bucket).toReversed()) {
    since += one.person + one.poll
    spare = Math.min(spare, perHour - since - reserved(HOUR_BUCKETS - (bucket - one.bucket)))
  }
  return spare
}

const sum = (given: Given[], ...of: Lane[]): number => {
  const which = of.length > 0 ? of : lanes
  return given.reduce((total, one) => which.reduce((part, lane) => part + one[lane], total), 0)
}
