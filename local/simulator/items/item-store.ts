import type { Clock } from '../../../shared/platform/time.ts'
import { scramble } from '../random.ts'
import type { Item, ItemKind, Timeline } from './item.ts'

/** A change that happened. `from` is null when the item was created, `to` when it was purged. */
export interface Transition {
  id: string
  at: Date
  from: string | null
  to: string | null
}

/** A page that is about to be sent. */
export interface PageSent {
  /** From 1, counted by `$skip`. */
  number: number
  rows: Item[]
}

/** The machine actions, or the investigations, of the tenant, on the simulator's clock. */
export interface ItemStore {
  /** Adds an item now; missing fields are filled in. Replaces an item with the same id. */
  put(given: Item, options?: { lateSeconds?: number }): Item
  /** Changes an item now; its last update and the fields that depend on the state are filled in. */
  change(id: string, patch: Record<string, unknown>): Item
  /** Purges an item now. */
  remove(id: string): void
  /** All items as they are now. */
  get(id: string): Item | undefined
  all(): Item[]
  /** Every change of an item, or of all items, until now, in order of time. */
  history(id?: string): Transition[]
  /** For this long, answers show the item as it was before its last change. */
  showOlder(id: string, seconds: number): void
  /** Runs after the rows of a page were chosen and before the page is sent. */
  onPage(hook: ((page: PageSent) => void | Promise<void>) | null): void
}

/** What the routes need of a store. */
export interface ServedItems extends ItemStore {
  /** The rows of the list as it was `agoMs` ago, in order of creation. */
  rows(agoMs: number, lateSeconds: number): Item[]
  /** The item with this id; otherwise the newest one with this alias. */
  find(id: string, agoMs: number): Item | undefined
  sendPage(page: PageSent): Promise<void>
  /** Counts the calls that may be answered by a replica, from 1. */
  countCall(): number
}

type StoredItem = Timeline & { older?: { untilMs: number; place: number } }

/** Makes a store; `births` returns the items that the simulation has created since the last call. */
export function createItemStore(
  kind: ItemKind,
  clock: Clock,
  births: (untilMs: number) => Timeline[] = () => [],
): ServedItems {
  const stored = new Map<string, StoredItem>()
  let hook: Parameters<ItemStore['onPage']>[0] = null
  let calls = 0
  const nowMs = () => clock.now().getTime()

  /** All items, with those that the simulation has created until now. */
  function settled(): Map<string, StoredItem> {
    for (const script of births(nowMs())) stored.set(script.id, script)
    return stored
  }
  function shown(one: StoredItem, atMs: number): Item | null {
    const place = placeAt(one, atMs)
    const isOld = one.older !== undefined && nowMs() < one.older.untilMs
    return one.versions[isOld ? Math.min(place, one.older?.place ?? place) : place]?.item ?? null
  }
  function add(one: StoredItem, item: Item | null): void {
    // Its future changes are cancelled.
    one.versions = [...one.versions.slice(0, placeAt(one, nowMs()) + 1), { atMs: nowMs(), item }]
  }
  function present(id: string): { one: StoredItem; item: Item } {
    const one = settled().get(id)
    const item = one?.versions[placeAt(one, nowMs())]?.item
    if (!one || !item) throw new Error(`There is no item ${id}.`)
    return { one, item }
  }
  const now = (id: string) => ({ ms: nowMs(), ticks: ticksOf(id) })
  const current = (one: StoredItem) => one.versions[placeAt(one, nowMs())]?.item ?? undefined

  return {
    put(given, { lateSeconds = 0 } = {}) {
      const one = settled().get(given.id) ?? { id: given.id, lateSeconds, versions: [] }
      const item = kind.create(given, now(given.id))
      stored.set(given.id, one)
      add(one, item)
      return item
    },
    change(id, patch) {
      const { one, item } = present(id)
      const changed = kind.change(item, patch, now(id))
      add(one, changed)
      return changed
    },
    remove: (id) => add(present(id).one, null),
    get(id) {
      const one = settled().get(id)
      return one && current(one)
    },
    all: () => [...settled().values()].flatMap((one) => current(one) ?? []),
    history(id) {
      const wanted = id === undefined ? [...settled().values()] : [settled().get(id)]
      const steps = wanted.flatMap((one) => (one ? stepsOf(one, kind.stateField, nowMs()) : []))
      return steps.sort((a, b) => a.at.getTime() - b.at.getTime())
    },
    showOlder(id, seconds) {
      const { one } = present(id)
      one.older = {
        untilMs: nowMs() + seconds * 1000,
        place: Math.max(0, placeAt(one, nowMs()) - 1),
      }
    },
    onPage: (wanted) => {
      hook = wanted
    },
    rows(agoMs, lateSeconds) {
      const atMs = nowMs() - agoMs
      return [...settled().values()].flatMap((one) => {
        const late = Math.max(lateSeconds, one.lateSeconds)
        const isThere = (one.versions[0]?.atMs ?? Number.POSITIVE_INFINITY) <= atMs - late * 1000
        return (isThere && shown(one, atMs)) || []
      })
    },
    find(id, agoMs) {
      const atMs = nowMs() - agoMs
      const one = settled().get(id)
      if (one) return shown(one, atMs) ?? undefined
      const { aliasField } = kind
      if (aliasField === null) return undefined
      return [...stored.values()]
        .flatMap((other) => shown(other, atMs) ?? [])
        .findLast((item) => item[aliasField] === id)
    },
    countCall: () => ++calls,
    sendPage: async (page) => hook?.(page),
  }
}

/** The index of the version that is valid at a time; -1 before the first one. */
function placeAt({ versions }: Timeline, atMs: number): number {
  let place = versions.length - 1
  while (place >= 0 && (versions[place]?.atMs ?? 0) > atMs) place--
  return place
}

function stepsOf(one: Timeline, stateField: string, untilMs: number): Transition[] {
  const steps: Transition[] = []
  let from: string | null = null
  for (const { atMs, item } of one.versions) {
    if (atMs > untilMs) break
    const to = item ? String(item[stateField]) : null
    if (to !== from) steps.push({ id: one.id, at: new Date(atMs), from, to })
    from = to
  }
  return steps
}

/** Digits below the millisecond: the same for all times of an item, so that they never go back. */
function ticksOf(id: string): number {
  let mixed = 1
  for (const letter of id) mixed = scramble(mixed, letter.codePointAt(0) ?? 0)
  return mixed % 10_000
}
