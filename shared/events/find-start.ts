import { RequestError } from '../platform/errors.ts'
import { invalidRequest } from '../platform/invalid-request.ts'
import type { Place } from './cursor.ts'
import type { Feed } from './feed.ts'

/** Where reading a stream begins: after seq `from`. */
export interface Start {
  stream: string
  epoch: string
  from: number
  /** The oldest event that is kept, or the first one there will be. */
  oldest: number
  last: number
}

/** What keeps a reader from going on where it was: events past their time, a stream begun anew, or one that is not so far. */
export interface Gap {
  stream: string
  reason: 'expired' | 'reset' | 'ahead'
  fromSeq: number
  oldestSeq: number
}

/** Finds where to read a stream on; without a place that is before its oldest event. */
export async function findStart(
  feed: Pick<Feed, 'counter' | 'head'>,
  stream: string,
  place?: Place,
): Promise<Start> {
  const [counter, { epoch, next }] = await Promise.all([
    feed.counter(stream, 'oldest'),
    feed.head(stream),
  ])
  const oldest = Math.max(counter.seq, 1)
  return { stream, epoch, from: place?.seq ?? oldest - 1, oldest, last: next - 1 }
}

/** Whether events are missing between a place and its start; no place handed out is ever ahead of a head read later. */
export function gapOf(
  { stream, epoch, from, oldest, last }: Start,
  place: Place | undefined,
): Gap | undefined {
  if (!place) return undefined
  const gap = (reason: Gap['reason']): Gap => ({
    stream,
    reason,
    fromSeq: from + 1,
    oldestSeq: oldest,
  })
  if (place.epoch !== epoch) return gap('reset')
  if (from > last) return gap('ahead')
  return from < oldest - 1 ? gap('expired') : undefined
}

/** The refusal of a cursor that a gap follows: `cursor-expired`, or `invalid-request` for one that no reader can have. */
export function refuseGap(
  { stream, reason, fromSeq, oldestSeq }: Gap,
  path: string,
  remedy: string,
): RequestError {
  if (reason === 'ahead') {
    const message = `lies ahead of ${stream}: it comes from another data account, or from before this one was restored`
    return invalidRequest([{ path, message }])
  }
  return new RequestError({
    status: 410,
    problem: 'cursor-expired',
    title: 'The events after this cursor are gone',
    detail:
      reason === 'reset'
        ? `${stream} was begun anew since, in an empty data account; its oldest event is ${oldestSeq}.`
        : `${stream} begins at ${oldestSeq} by now; the events from ${fromSeq} on were kept for their time.`,
    remedy,
  })
}
