import {
  type ItemSource,
  isTerminal,
  type Resource,
  type Wanted,
} from '../../shared/changes/resource.ts'
import type { Budget } from '../../shared/platform/budget.ts'
import { UpstreamError } from '../../shared/platform/errors.ts'
import type { Http } from '../../shared/platform/http.ts'
import type { Clock } from '../../shared/platform/time.ts'
import { createDefender } from '../../shared/upstreams/defender.ts'
import { PlannedError } from './fault-injector.ts'

const MINUTE_MS = 60_000
const missing = {
  upstream: 'defender',
  call: 'GET item',
  reason: 'refused',
  retryable: false,
} as const
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
  | { do: 'step' | 'stepBack'; item: number; state: number }
  | { do: 'touch' | 'start' | 'purge' | 'restore'; item: number }

/** The true history of an item; times are ticks. */
export interface ModelItem {
  id: string
  /** Its creation, whether the service shows it or not. */
  madeAt: number
  /** From when on the service shows its creation time. */
  startsAt: number
  visibleAt: number
  /** `said` is the update time that the service shows: it may go back. */
  history: { at: number; said: number; state: string }[]
  /** When it was removed and when it came back, alternately. */
  absences: number[]
}

/** How far the replica behind each kind of answer lags, in minutes. */
export interface Lags {
  created: number
  open: number
  item: number
}

/** How the upstream behaves in one poll. */
export interface Behaviour {
  lags: Lags
  /** This call is answered from a cache that is an hour old; null for none. */
  staleCall: number | null
  /** Lists have every item, whatever was asked for. */
  ignoresFilter: boolean
  /** How a page links to the next one: by `$skip`, by parameters without names, by a position of its own. */
  links: 'skip' | 'nameless' | 'token'
  /** Ids are in capitals. */
  shoutsIds: boolean
  /** Requests by id are answered with another item. */
  mixesUp: boolean
}

/** Carries each call of one process. It may fail or take long, and the upstream may change before the answer. */
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
      history: [{ at, said: at, state }],
      absences: [],
    })
  }

  /** A new entry in a history; `back` makes its update time earlier than that of the one before. */
  function push(item: ModelItem | undefined, state: string, back = 0): void {
    const at = tick()
    const before = item?.history.at(-1)?.said ?? at
    item?.history.push({ at, said: back < 0 ? before + back : Math.max(at, before + 1), state })
  }

  /** Applies a change; one that makes no sense has no effect. */
  function perform(change: UpstreamChange): void {
    if (change.do === 'crowd') {
      for (let n = 0; n < change.count; n++) {
        const id = `c${n}`
        if (items.has(id)) push(items.get(id), stateOf(change.state))
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
    if (change.do === 'step') push(item, stateOf(change.state))
    else if (change.do === 'stepBack') push(item, stateOf(change.state), -MINUTE_TICKS)
    else if (change.do === 'touch') push(item, item.history.at(-1)?.state ?? '')
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
          lastUpdateDateTimeUtc: toText(now.said),
        }
  }

  function select(wanted: Wanted | null, at: number) {
    const isWanted = (item: ModelItem) => {
      if (wanted === null) return true
      return 'openNow' in wanted
        ? resource.openStates.includes(
            item.history.findLast((entry) => entry.at <= at)?.state ?? '',
          )
        : item.startsAt <= at && item.madeAt >= toTicks(Date.parse(wanted.createdSince))
    }
    return [...items.values()]
      .filter(isWanted)
      .toSorted((a, b) => b.madeAt - a.madeAt || (a.id < b.id ? -1 : 1))
  }

  /**
   * The source for one process, behind the real client. Newest rows come first; a row that appears or disappears between
   * two pages moves the others. `onLost` gets the items that were in a list all the time and are in none of its pages.
   */
  function source(behaviour: Behaviour, transport: Transport, onLost: (id: string) => void) {
    const { lags, staleCall, ignoresFilter, links, shoutsIds, mixesUp } = behaviour
    let calls = 0
    /** The items that were in the list at each of its calls; null when it was not one list. */
    let steady: Set<string> | null = null
    const rowOf = (item: ModelItem | undefined, at: number) => {
      const row = item && rowAt(item, at)
      return row && shoutsIds ? { ...row, id: row.id.toUpperCase() } : row
    }

    function answerList(url: URL, lag: number, isFirst: boolean) {
      const at = present() - lag * MINUTE_TICKS
      const filter = url.searchParams.get('$filter') ?? ''
      const since = / ge (\S+)/.exec(filter)?.[1]
      const wanted = since === undefined ? { openNow: true as const } : { createdSince: since }
      const listed = select(ignoresFilter || filter === '' ? null : wanted, at).filter((item) =>
        rowAt(item, at),
      )
      const ids = new Set(listed.map(({ id }) => id))
      steady = isFirst ? ids : steady && new Set([...steady].filter((id) => ids.has(id)))
      const token = url.searchParams.get('$skiptoken')
      const after = listed.findIndex(({ id, madeAt }) => `${madeAt}-${id}` === token)
      // The position of an item that has left is not known any more.
      if (token !== null && after < 0) throw new PlannedError()
      const skip = token === null ? Number(url.searchParams.get('$skip') ?? 0) : after + 1
      const rows = listed.slice(skip, skip + pageSize)
      const last = rows.at(-1)
      const query = `$filter=${encodeURIComponent(filter)}`
      const link = {
        skip: `${query}&$skip=${skip + rows.length}`,
        nameless: `=${encodeURIComponent(filter)}&$skip=${pageSize}`,
        token: `${query}&$skiptoken=${last?.madeAt}-${last?.id}`,
      }[links]
      return {
        value: rows.map((item) => rowOf(item, at)),
        '@odata.nextLink': last && skip + rows.length < listed.length ? `?${link}` : undefined,
      }
    }

    function answerItem(id: string, lag: number) {
      const item = items.get(id)
      const other = mixesUp ? [...items.values()].find((one) => one.id !== id) : undefined
      const row = rowOf(other ?? item, present() - lag * MINUTE_TICKS)
      if (row) return row
      throw new UpstreamError({ ...missing, status: 404 })
    }

    async function json({ url }: { url: URL }) {
      const number = calls++
      const id = url.pathname.slice(resource.path.length + 1)
      const isOpen = / eq /.test(url.searchParams.get('$filter') ?? '')
      const isFirst = !/[$]skip/.test(url.search)
      const usualLag = id ? lags.item : isOpen ? lags.open : lags.created
      const isStale = number === staleCall && !isFirst
      const answer = await transport(() => ({
        body: id ? answerItem(id, usualLag) : answerList(url, isStale ? 60 : usualLag, isFirst),
        // The header has whole seconds.
        date: new Date(Math.floor(toMs(present()) / 1000) * 1000),
      }))
      if (isStale) steady = null
      return { status: 200, headers: {}, ...answer }
    }

    const client = createDefender({
      http: { json } as unknown as Http,
      token: async () => 'token',
      budget: { acquire: async () => {} } as unknown as Budget<string>,
      baseUrl: new URL('https://api.contoso.net'),
    })
    return {
      async *list(wanted: Wanted) {
        const given = new Set<string>()
        for await (const page of client.items(resource, resource.filter(wanted))) {
          for (const row of page.rows) given.add(String((row as { id: string }).id).toLowerCase())
          yield page
        }
        for (const id of steady ?? []) if (!given.has(id)) onLost(id)
      },
      get: (id: string) => client.item(resource, id),
    } satisfies ItemSource
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
