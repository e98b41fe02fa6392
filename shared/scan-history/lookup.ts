import { upstreamProblem } from '../platform/error-responses.ts'
import { RequestError, UpstreamError } from '../platform/errors.ts'
import { unpackText } from '../platform/reply.ts'
import type { Clock } from '../platform/time.ts'
import { type ScanCache, tagOf } from './cache.ts'
import { type Fetched, LATEST, type Query } from './source.ts'

/** An answer, from the cache or fresh. */
export interface Entry {
  answer(): Promise<Record<string, unknown>>
  /** From the cache: the answer as it is sent. */
  packed?: Buffer
  tag: string
  /** When it was cached, RFC 3339; null for a fresh answer. */
  cachedAt: string | null
  /** Whether the answer never changes any more. */
  final: boolean
  /** Adds the upstream's own answer. If that is no longer cached, the fresh answer comes with it. */
  withRaw(): Promise<Entry & { raw: unknown }>
}

export interface LookupDeps {
  cache: ScanCache
  /** Runs identical work that is requested at the same time once. */
  join: (key: string, work: () => Promise<Map<string, Entry>>) => Promise<Map<string, Entry>>
  clock: Clock
  /** How long a final answer is cached. */
  finalMs: number
  /** Reports a failed cache write: the answer is sent all the same. */
  onCacheFailure(error: unknown): void
}

/** How long an answer that is not final is cached. */
export const BRIEF_MS = 30_000
/** The host ends a request soon after 100 s. */
const DEADLINE_MS = 90_000

/**
 * Looks up one or several ids and answers those that exist, in the order of `ids`. Answers come from the cache; one
 * call fetches all that are not in it, and identical look-ups at the same time share it. Throws UpstreamError
 * (`timeout` after 90 s, retries included), ShapeError, and RequestError 429 when no call is allowed now.
 */
export async function lookup(
  deps: LookupDeps,
  query: Query,
  ids: readonly string[],
  part = LATEST,
): Promise<Map<string, Entry>> {
  const work = () => readOrFetch(deps, query, ids, part)
  return withDeadline(deps.clock, query, () => deps.join(keyOf(query, ids, part), work))
}

async function readOrFetch(deps: LookupDeps, query: Query, ids: readonly string[], part: string) {
  const cached = await Promise.all(ids.map((id) => readCached(deps, query, id, part)))
  const missing = ids.filter((_, index) => !cached[index])
  const fresh = missing.length > 0 ? await fetchAndCache(deps, query, missing, part) : undefined
  const entries = new Map<string, Entry>()
  for (const [index, id] of ids.entries()) {
    const entry = cached[index] ?? fresh?.get(id)
    if (entry) entries.set(id, entry)
  }
  return entries
}

async function readCached(
  deps: LookupDeps,
  query: Query,
  id: string,
  part: string,
): Promise<Entry | undefined> {
  const key = { kind: query.kind, id, part }
  const cached = await deps.cache.get(key)
  if (!cached) return undefined
  if ('alias' in cached) return resolveAlias(deps, query, id, cached.alias)
  const { packed, tag, at, final } = cached
  const entry: Entry = {
    answer: async () => JSON.parse(await unpackText(packed)),
    packed,
    tag,
    cachedAt: at,
    final,
    async withRaw() {
      const raw = await deps.cache.raw(key, tag)
      return raw === undefined
        ? fetchWithRaw(deps, query, id, part)
        : { ...entry, raw: JSON.parse(raw) }
    },
  }
  return entry
}

const resolveAlias = async (deps: LookupDeps, query: Query, id: string, alias: string) =>
  (await lookup(deps, query, [id], alias)).get(id)

async function fetchAndCache(deps: LookupDeps, query: Query, ids: readonly string[], part: string) {
  const entries = new Map<string, Entry>()
  for (const [id, fetched] of await fetchNow(query, ids, part)) {
    const key = { kind: query.kind, id, part }
    if ('alias' in fetched) {
      const { alias } = fetched
      await deps.cache.putAlias(key, alias, BRIEF_MS).catch(deps.onCacheFailure)
      const entry = await resolveAlias(deps, query, id, alias)
      if (entry) entries.set(id, entry)
      continue
    }
    const { final, part: ownPart = part } = fetched
    const entry = toEntry(fetched)
    entries.set(id, entry)
    const forMs = final ? deps.finalMs : BRIEF_MS
    try {
      await deps.cache.put({ ...key, part: ownPart }, { ...fetched, tag: entry.tag }, forMs)
      if (ownPart !== part) await deps.cache.putAlias(key, ownPart, forMs)
    } catch (error) {
      deps.onCacheFailure(error)
    }
  }
  return entries
}

function toEntry({ answer, raw, final }: Fetched): Entry & { raw: unknown } {
  const tag = tagOf(JSON.stringify(answer), JSON.stringify(raw))
  const common = { tag, cachedAt: null, final, raw }
  const entry = { ...common, answer: async () => answer, withRaw: async () => entry }
  return entry
}

/** Fetches an answer whose raw part was too large for the cache; it is not cached this time either. */
async function fetchWithRaw(deps: LookupDeps, query: Query, id: string, part: string) {
  const work = async () => {
    const fetched = (await fetchNow(query, [id], part)).get(id)
    return new Map(fetched && !('alias' in fetched) ? [[id, toEntry(fetched)]] : [])
  }
  const key = `${keyOf(query, [id], part)}|raw`
  const entry = (await withDeadline(deps.clock, query, () => deps.join(key, work))).get(id)
  if (entry) return entry.withRaw()
  throw new UpstreamError({ ...callOf(query), status: 404, reason: 'refused', retryable: false })
}

const fetchNow = (query: Query, ids: readonly string[], part: string) =>
  query.fetch(ids, part).catch(throwToCaller)

const keyOf = ({ kind }: Query, ids: readonly string[], part: string) =>
  `${kind}|${ids.join(',')}|${part}`

const callOf = ({ kind }: Query) => ({
  upstream: kind.split('-')[0] ?? kind,
  call: `look-up of ${kind}`,
})

async function withDeadline<T>(clock: Clock, query: Query, work: () => Promise<T>): Promise<T> {
  const end = new AbortController()
  const late = clock.sleep(DEADLINE_MS, end.signal).then((): never => {
    throw new UpstreamError({ ...callOf(query), reason: 'timeout', retryable: true })
  })
  try {
    return await Promise.race([work(), late])
  } finally {
    end.abort()
  }
}

/** Throws the error as the caller gets it: when no call is allowed now, a 429. */
export function throwToCaller(error: unknown): never {
  if (!(error instanceof UpstreamError) || error.facts.status !== 429) throw error
  throw new RequestError({ ...upstreamProblem(error), status: 429 })
}
