import { RequestError, UpstreamError } from '../platform/errors.ts'
import { type Clock, MINUTE_MS } from '../platform/time.ts'
import { type ScanCache, tagOf } from './cache.ts'

import { type Alias, type Fetched, LATEST, type Query } from './source.ts'

/** An answer, from the cache or fresh. */
export interface Entry {
  answer: Record<string, unknown>
  tag: string
  /** When it was kept, RFC 3339; null for a fresh one. */
  cachedAt: string | null
  /** Whether it will never change any more. */
  final: boolean
  /** What it was made from; it may have to be asked for again, and then the fresh answer comes with it. */
  withRaw(): Promise<Entry & { raw: unknown }>
}

/** What look-ups work with. */
export interface LookupDeps {
  cache: ScanCache
  join: (key: string, work: () => Promise<Map<string, Entry>>) => Promise<Map<string, Entry>>
  clock: Clock
  /** How long an answer is kept that will not change any more. */
  finalMs: number
  /** An answer that could not be kept is still an answer. */
  onCacheFailure(error: unknown): void
}

/** How long other answers are kept. */
export const BRIEF_MS = 30_000
/** The host ends a request soon after 100 s. */
const DEADLINE_MS = 90_000

/**
 * Answers a question about one or several ids, those that exist: out of the cache, or in one call for all that are not
 * there; identical questions at the same time are one. Throws UpstreamError (`timeout` when it takes too long in all,
 * retries included), ShapeError, and RequestError 429 when no call is allowed now.
 */
export async function lookup(
  deps: LookupDeps,
  question: Query,
  ids: readonly string[],
  part = LATEST,
): Promise<Map<string, Entry>> {
  return inTime(deps.clock, question, () =>
    deps.join(keyOf(question, ids, part), () => find(deps, question, ids, part)),
  )
}

async function find(deps: LookupDeps, question: Query, ids: readonly string[], part: string) {
  const stored = await Promise.all(
    ids.map(async (id) => [id, await readKept(deps, question, id, part)] as const),
  )
  const missing = stored.flatMap(([id, entry]) => (entry ? [] : [id]))
  const fresh =
    missing.length > 0
      ? await fetchMissing(deps, question, missing, part)
      : new Map<string, Entry>()
  return new Map(
    stored.flatMap(([id, known]) => {
      const entry = known ?? fresh.get(id)
      return entry ? [[id, entry]] : []
    }),
  )
}

async function readKept(
  deps: LookupDeps,
  question: Query,
  id: string,
  part: string,
): Promise<Entry | undefined> {
  const key = { kind: question.kind, id, part }
  const stored = await deps.cache.get(key)
  if (!stored) return undefined
  if ('alias' in stored) return (await lookup(deps, question, [id], stored.alias)).get(id)
  const { tag, at, final } = stored
  const answer = JSON.parse(stored.answer)
  const withRaw = async () => {
    const raw = await deps.cache.raw(key, tag)
    if (raw !== undefined) return { ...entry, raw: JSON.parse(raw) }
    return fresh(deps, question, id, part)
  }
  const entry: Entry = { answer, tag, cachedAt: at, final, withRaw }
  return entry
}

async function fetchMissing(
  deps: LookupDeps,
  question: Query,
  ids: readonly string[],
  part: string,
) {
  const found = await fetchNow(question, ids, part)
  const entries = new Map<string, Entry>()
  for (const [id, one] of found) {
    const entry =
      'alias' in one
        ? await resolveAlias(deps, question, id, part, one)
        : await keep(deps, question, id, part, one)
    if (entry) entries.set(id, entry)
  }
  return entries
}

async function resolveAlias(
  deps: LookupDeps,
  question: Query,
  id: string,
  part: string,
  { alias: see }: Alias,
) {
  await deps.cache
    .putAlias({ kind: question.kind, id, part }, see, BRIEF_MS)
    .catch(deps.onCacheFailure)
  return (await lookup(deps, question, [id], see)).get(id)
}

async function keep(
  deps: LookupDeps,
  { kind }: Query,
  id: string,
  part: string,
  found: Fetched,
): Promise<Entry> {
  const entry = toEntry(found)
  const texts = {
    answer: JSON.stringify(found.answer),
    raw: JSON.stringify(found.raw),
    tag: entry.tag,
  }
  const forMs = found.final ? deps.finalMs : BRIEF_MS
  const { part: own = part } = found
  try {
    await deps.cache.put({ kind, id, part: own }, { ...texts, final: found.final }, forMs)
    if (own !== part) await deps.cache.putAlias({ kind, id, part }, own, forMs)
  } catch (error) {
    deps.onCacheFailure(error)
  }
  return entry
}

function toEntry({ answer, raw, final }: Fetched): Entry & { raw: unknown } {
  const tag = tagOf(JSON.stringify(answer), JSON.stringify(raw))
  const entry = { answer, tag, cachedAt: null, final, raw, withRaw: async () => entry }
  return entry
}

/** Asks again for what was too large to be kept; it is not kept this time either. */
async function fresh(deps: LookupDeps, question: Query, id: string, part: string) {
  const again = async () => {
    const found = (await fetchNow(question, [id], part)).get(id)
    return new Map(found && !('alias' in found) ? [[id, toEntry(found)]] : [])
  }
  const key = `${keyOf(question, [id], part)}|raw`
  const entry = (await inTime(deps.clock, question, () => deps.join(key, again))).get(id)
  if (entry) return entry.withRaw()
  throw new UpstreamError({
    ...senderOf(question),
    status: 404,
    reason: 'refused',
    retryable: false,
  })
}

const fetchNow = (question: Query, ids: readonly string[], part: string) =>
  question.fetch(ids, part).catch((error: unknown): never => {
    throw toCallerError(error)
  })

const keyOf = ({ kind }: Query, ids: readonly string[], part: string) =>
  `${kind}|${ids.join(',')}|${part}`

const senderOf = ({ kind }: Query) => ({
  upstream: kind.split('-')[0] ?? kind,
  call: `look-up of ${kind}`,
})

async function inTime<T>(clock: Clock, question: Query, work: () => Promise<T>): Promise<T> {
  const end = new AbortController()
  const late = clock.sleep(DEADLINE_MS, end.signal).then((): never => {
    throw new UpstreamError({ ...senderOf(question), reason: 'timeout', retryable: true })
  })
  try {
    return await Promise.race([work(), late])
  } finally {
    end.abort()
  }
}

const UNKNOWN_WAIT_MS = MINUTE_MS

/** The error as whoever waits for the answer gets it: no call allowed now is theirs to send again, 429. */
export function toCallerError(error: unknown): unknown {
  if (!(error instanceof UpstreamError) || error.facts.status !== 429) return error
  const { said, code, retryAfterMs = UNKNOWN_WAIT_MS } = error.facts
  return new RequestError({
    status: 429,
    problem: 'upstream-throttled',
    title:
      code === 'OwnBudget'
        ? 'No call is left for now'
        : 'The upstream allows no more calls for now',
    detail: said ? `${error.message}: ${said}` : error.message,
    fix: 'Send the request again after Retry-After.',
    retryAfterMs,
  })
}
