import {
  type ItemSource,
  isTerminal,
  type Resource,
  type Wanted,
} from '../../shared/changes/resource.ts'
import type { Clock } from '../../shared/platform/time.ts'

const MINUTE_MS = 60_000
/** The service counts in steps of 100 ns; ticks begin here, since a number can't hold them from 1970 on. */
const TICKS_PER_MS = 10_000
const TICKS_BEGIN_MS = Date.UTC(2026, 0, 1)

const toMs = (ticks: number) => TICKS_BEGIN_MS + Math.floor(ticks / TICKS_PER_MS)
const toTicks = (ms: number) => (ms - TICKS_BEGIN_MS) * TICKS_PER_MS
const MINUTE_TICKS = MINUTE_MS * TICKS_PER_MS

/** When the history of a model begins. */
export const MODEL_BEGIN_MS = Date.UTC(2026, 2, 1)

/** A clock that stands still until it is moved. */
export interface ModelClock extends Clock {
  advance(minutes: number): void
}

/** Makes a model's clock. */
export function createModelClock(): ModelClock {
  let nowMs = MODEL_BEGIN_MS
  function advance(minutes: number): void {
    nowMs += minutes * MINUTE_MS
  }
  return { now: () => new Date(nowMs), advance, sleep: async (ms) => advance(ms / MINUTE_MS) }
}

/** A change of an item upstream; `item` is its number. */
export type UpstreamChange =
  | {
      do: 'create'
      item: number
      state: number
      lateMinutes: number
      isTie: boolean
      hasNoStart: boolean
    }
  | { do: 'crowd'; count: number; state: number }
  | { do: 'step'; item: number; state: number }
  | { do: 'touch' | 'start' | 'purge' | 'restore'; item: number }

/** The true history of an item; times are ticks. */
export interface ModelItem {
  id: string
  /** Its creation, whether the service shows it or not. */
  madeAt: number
  /** From when on the service shows its creation time. */
  startsAt: number
  visibleAt: number
  history: { at: number; state: string }[]
  /** When it was removed and when it came back, alternately. */
  absences: number[]
}

/** How far the replica behind each kind of answer lags, in minutes. */
export interface Lags {
  created: number
  open: number
  item: number
}

/** Carries each call of one process. It may fail, and the upstream may change before the answer. */
export type Transport = <T>(answer: () => T) => Promise<T>

/** How far the upstream's clock is ahead of ours, and how many rows a page has. */
export interface UpstreamOptions {
  skewMinutes: number
  pageSize: number
}

/** Makes an upstream whose true history is known. */
export function createModel(
  resource: Resource,
  clock: Clock,
  { skewMinutes, pageSize }: UpstreamOptions,
) {
  const items = new Map<string, ModelItem>()
  const states = [
    ...resource.openStates.slice(0, 3),
    ...resource.terminalStates.slice(0, 3),
    'Paused',
  ]
  let last = 0
  let lastMadeAt = 0
  const present = () => Math.max(last, toTicks(clock.now().getTime() + skewMinutes * MINUTE_MS))
  const stateOf = (number: number) => states[number % states.length] ?? 'Paused'

  function tick(): number {
    last = present() + 1
    return last
  }

  function make(
    id: string,
    state: string,
    lateMinutes: number,
    isTie: boolean,
    hasNoStart: boolean,
  ): void {
    const at = tick()
    lastMadeAt = isTie && at - lastMadeAt < 10 * MINUTE_TICKS ? lastMadeAt : at
    const visibleAt = Math.max(at, lastMadeAt + lateMinutes * MINUTE_TICKS)
    const startsAt = hasNoStart && resource.mayReopen ? Number.POSITIVE_INFINITY : 0
    items.set(id, {
      id,
      madeAt: lastMadeAt,
      startsAt,
      visibleAt,
      history: [{ at, state }],
      absences: [],
    })
  }

  /** Applies a change; one that makes no sense has no effect. */
  function perform(change: UpstreamChange): void {
    if (change.do === 'crowd') {
      for (let n = 0; n < change.count; n++) {
        const id = `c${n}`
        if (items.has(id)) items.get(id)?.history.push({ at: tick(), state: stateOf(change.state) })
        else make(id, stateOf(change.state), 0, true, false)
      }
      return
    }
    const id = `a${change.item}`
    const item = items.get(id)
    if (change.do === 'create') {
      if (!item)
        make(id, stateOf(change.state), change.lateMinutes, change.isTie, change.hasNoStart)
      return
    }
    if (!item) return
    const state = item.history.at(-1)?.state ?? ''
    if (change.do === 'step') item.history.push({ at: tick(), state: stateOf(change.state) })
    else if (change.do === 'touch') item.history.push({ at: tick(), state })
    else if (change.do === 'start') item.startsAt = Math.min(item.startsAt, tick())
    else if (item.absences.length % 2 === (change.do === 'purge' ? 0 : 1))
      item.absences.push(tick())
  }

  /** The row of an item as the service has it at a tick; undefined while it shows none. */
  function rowAt({ id, madeAt, startsAt, visibleAt, history, absences }: ModelItem, at: number) {
    const now = history.findLast((entry) => entry.at <= at)
    if (!now || visibleAt > at || absences.filter((absence) => absence <= at).length % 2 === 1)
      return undefined
    const created = startsAt <= at ? toText(madeAt) : null
    const machineId = `m${Number(id.slice(1)) % 2}`
    return resource.mayReopen
      ? { id, state: now.state, machineId, startTime: created, endTime: null }
      : {
          id,
          status: now.state,
          machineId,
          creationDateTimeUtc: created,
          lastUpdateDateTimeUtc: toText(now.at),
        }
  }

  function select(wanted: Wanted, at: number) {
    const isWanted = (item: ModelItem) =>
      'openNow' in wanted
        ? resource.openStates.includes(
            item.history.findLast((entry) => entry.at <= at)?.state ?? '',
          )
        : item.startsAt <= at && item.madeAt >= toTicks(Date.parse(wanted.createdSince))
    return [...items.values()]
      .filter(isWanted)
      .toSorted((a, b) => b.madeAt - a.madeAt || (a.id < b.id ? -1 : 1))
      .flatMap((item) => rowAt(item, at) ?? [])
  }

  /** The source for one process. Newest rows come first; a row that appears or disappears between two pages moves the others. */
  function source(lags: Lags, transport: Transport): ItemSource {
    const at = (lag: number) => present() - lag * MINUTE_TICKS
    return {
      async *list(wanted) {
        const lag = 'openNow' in wanted ? lags.open : lags.created
        for (let skip = 0, isLast = false; !isLast; skip += pageSize) {
          const { rows, date } = await transport(() => ({
            rows: select(wanted, at(lag)).slice(skip, skip + pageSize),
            // The header has whole seconds.
            date: new Date(Math.floor(toMs(present()) / 1000) * 1000),
          }))
          isLast = rows.length < pageSize
          yield { rows, date }
        }
      },
      get: (id) =>
        transport(() => {
          const item = items.get(id)
          return item && rowAt(item, at(lags.item))
        }),
    }
  }

  return {
    items,
    perform,
    source,
    rowNow: (item: ModelItem) => rowAt(item, present()),
    isOpen: (item: ModelItem) => !isTerminal(resource, item.history.at(-1)?.state ?? ''),
  }
}

export type Model = ReturnType<typeof createModel>

/** A time as the service writes it: up to seven digits, no trailing zeros. */
export function toText(ticks: number): string {
  const iso = new Date(toMs(ticks)).toISOString()
  const below = ticks - toTicks(toMs(ticks))
  const digits = `${iso.slice(20, 23)}${String(below).padStart(4, '0')}`.replace(/0+$/, '')
  return digits === '' ? `${iso.slice(0, 19)}Z` : `${iso.slice(0, 19)}.${digits}Z`
}
