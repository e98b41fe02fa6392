import { ConfigError, ShapeError, UpstreamError } from '../platform/errors.ts'
import { lease } from '../platform/table-record.ts'
import { type Clock, MINUTE_MS, SECOND_MS } from '../platform/time.ts'
import { type ExportEngine, stamp } from './engine.ts'
import { digestPaths } from './file-store.ts'
import { shrinkage } from './guards.ts'
import type { ExportMethod, Listing } from './kind.ts'
import type { Begun, FilesRef, Renewed, RunRef } from './names.ts'
import { endRun } from './publish.ts'
import {
  type End,
  type FileRecord,
  isEarlier,
  isFinal,
  isOver,
  isSameTime,
  type Run,
  unlessFenced,
} from './run-record.ts'
import { createFor } from './snapshot-table.ts'

/**
 * Lists what to import and writes it into the ledger. The run becomes `importing` only when every file row is written.
 * For a run that is past this state, answers the files that are still to be imported.
 */
export async function beginRun(engine: ExportEngine, ref: RunRef): Promise<Begun> {
  return unlessFenced<Begun>({ state: 'over' }, async () => {
    const { runs, files, clock } = engine
    const run = await runs.requireRun(ref)
    const over = isOver(run.state)
    if (over || run.state === 'importing' || run.state === 'comparing') {
      await files.raise(ref)
      // The executor may have died while it tidied up after the end of the run: `publish-run` tidies up again.
      if (over || run.state === 'comparing') return { state: 'importing', files: [] }
      const pending = (await files.all(ref.runId)).filter((file) => !isFinal(file))
      return { state: 'importing', files: pending.map((file) => file.number) }
    }
    await runs.set(ref, { state: 'listing', progressAt: stamp(clock), waiting: null })
    const offer = await requestListing(engine, run)
    if ('listing' in offer) return acceptListing(engine, ref, run, offer)
    const { seconds, reason } = offer
    if (seconds === undefined) {
      await endRun(engine, ref, { state: 'failed', reason })
      return { state: 'over' }
    }
    await runs.set(ref, { state: 'listing', ...laterFor(run, offer, clock) })
    return { state: 'later', seconds }
  })
}

type Offer = { method: ExportMethod; listing: Listing }

/** The listing of the requested method; `auto` falls back to the paged list when files are not available. */
async function requestListing(
  { kind, log }: ExportEngine,
  { requestedMethod }: Run,
): Promise<Offer | ListingFailure> {
  if (requestedMethod !== 'json') {
    try {
      return { method: 'files', listing: await kind.listFiles() }
    } catch (error) {
      const failure = toFailure(error)
      const isUnavailable = failure.status === 403 || failure.status === 404
      if (requestedMethod === 'files' || !isUnavailable) return failure
      log.warn('export files are not available, the paged list is used', { reason: failure.reason })
    }
  }
  // The paged list is one unit without a link: every attempt starts from its first page.
  const files = [{ path: 'paged-list', link: '' }]
  return { method: 'json', listing: { generatedTime: null, files } }
}

/** Why there is no listing; with `seconds` it is worth trying again after so long. */
interface ListingFailure {
  reason: string
  seconds?: number
  status?: number
  /** No call was sent: the calls before have used up the app's own budget, and their failure is the cause. */
  isOwn?: boolean
}

/** What a run shows until the next listing, and as its reason when that is never requested. */
function laterFor(
  run: Run,
  { seconds = 0, reason, isOwn }: ListingFailure,
  clock: Clock,
): Pick<Run, 'reason' | 'waiting'> {
  const until = new Date(clock.now().getTime() + seconds * SECOND_MS).toISOString()
  const cause = (isOwn && run.reason) || reason
  const more = cause === reason ? '' : '; no call of the budget is left until then'
  return { reason: cause, waiting: { for: `a list of files: ${cause}${more}`, until } }
}

/** All tries together last longer than storage may keep the budget waiting. */
const MIN_WAIT_S = 15

/** What an expected error means for a listing; throws any other error. */
function toFailure(error: unknown): ListingFailure {
  if (error instanceof UpstreamError) {
    const { status, code, retryable, retryAfterMs = 30_000 } = error.facts
    const wait = Math.max(Math.ceil(retryAfterMs / 1000), MIN_WAIT_S)
    const seconds = retryable ? Math.min(wait, 900) : undefined
    return { reason: error.message, seconds, status, isOwn: code === 'OwnBudget' }
  }
  if (error instanceof ConfigError || error instanceof ShapeError) return { reason: error.message }
  throw error
}

async function acceptListing(
  engine: ExportEngine,
  ref: RunRef,
  run: Run,
  { method, listing }: Offer,
): Promise<Begun> {
  const { kind, runs, files } = engine
  const { generatedTime } = listing
  const over = await decideListing(engine, run, listing, method)
  if (over) {
    await runs.set(ref, { state: 'listing', method, generatedTime })
    await endRun(engine, ref, over)
    return { state: 'over' }
  }
  const snapshot = kind.snapshotTable(ref.runId)
  await runs.set(ref, {
    // Set again each time: a second copy of this activity that lags behind must not touch a run that has moved on.
    state: 'listing',
    method,
    generatedTime,
    snapshot,
    reason: null,
  })
  await createFor(engine, ref, snapshot)
  const numbered = listing.files.map((file, index) => ({ ...file, number: index + 1 }))
  if (method === 'files') await writeLinks(engine, { ...ref, generatedTime }, numbered)
  await files.write(ref, listing.files)
  await runs.set(ref, { state: 'importing', listed: listing.files.length })
  return { state: 'importing', files: numbered.map(({ number }) => number) }
}

/** Writes links before the rows that need them. One that comes after the end of the run erases them again. */
async function writeLinks(
  { runs, links }: ExportEngine,
  run: Pick<Run, 'runId' | 'generatedTime'>,
  files: Parameters<typeof links.write>[1],
) {
  await links.write(run, files)
  const now = await runs.run(run.runId)
  if (!now || isOver(now.state)) await links.eraseAll(run.runId)
}

/** Why a listing must not be imported; undefined when it should be. */
async function decideListing(
  { runs }: ExportEngine,
  run: Run,
  { files, generatedTime }: Listing,
  method: ExportMethod,
): Promise<End | undefined> {
  const current = await runs.current()
  const none = 'the upstream listed no file'
  if (files.length === 0 && !current) return { state: 'empty', reason: none }
  if (files.length === 0 && current) {
    const reason = `${none}: ${shrinkage(0, current)}`
    return { state: 'failed', reason, guard: 'devices', devicesBefore: current.devices }
  }
  if (!current || method === 'json') return undefined
  const isOlder = isEarlier(generatedTime, current.generatedTime)
  if (isOlder && current.method === 'files')
    return { state: 'failed', reason: 'the upstream lists an export older than the snapshot' }
  if (isOlder && !run.force) {
    const reason = `the export is older than snapshot ${current.runId}, which was read page by page`
    return { state: 'unchanged', reason }
  }
  const isSame =
    isSameTime(generatedTime, current.generatedTime) &&
    (generatedTime !== null || current.paths === digestPaths(files))
  if (!isSame || run.force || current.method !== 'files') return undefined
  return { state: 'unchanged', reason: `snapshot ${current.runId} already holds this export` }
}

/** How long a renewal may run before another executor may start one. */
const RENEWAL_MS = MINUTE_MS

/**
 * Gets new links for all unfinished files of the run; concurrent callers share one upstream call. Files are matched by
 * path. A listing of another export ends the run, since two exports are never mixed.
 */
export async function renewLinks(engine: ExportEngine, ref: FilesRef): Promise<Renewed> {
  return unlessFenced<Renewed>({ state: 'over' }, async () => {
    const { kind, runs, files, clock } = engine
    const isExpired = ({ state }: FileRecord) => state === 'expired'
    const own = (await files.all(ref.runId)).filter(({ number }) => ref.files.includes(number))
    if (!own.some(isExpired)) return { state: 'renewed' }
    let waitMs = 0
    await runs.update(ref, (run) => {
      const taken = lease(run, 'renewingUntil', RENEWAL_MS, clock.now())
      waitMs = taken.waitMs
      return taken.record
    })
    // One renewal at a time; other callers wait and then find the new links.
    if (waitMs > 0) return { state: 'later', seconds: MIN_WAIT_S }
    const released = { renewingUntil: null, waiting: null }
    let listing: Listing
    try {
      listing = await kind.listFiles()
    } catch (error) {
      // The next try need not wait for the end of this lease.
      const run = await runs.set(ref, released)
      const failure = toFailure(error)
      const { seconds } = failure
      const reason = `renewing the links failed: ${failure.reason}`
      const isLater = seconds !== undefined
      await runs.set(ref, isLater ? laterFor(run, { ...failure, reason }, clock) : { reason })
      return isLater ? { state: 'later', seconds } : { state: 'over' }
    }
    const known = await files.all(ref.runId)
    const reset = { ...released, reason: null, progressAt: stamp(clock) }
    const { generatedTime } = await runs.set(ref, reset)
    const isSame = isSameTime(listing.generatedTime, generatedTime)
    if (!isSame || digestPaths(listing.files) !== digestPaths(known)) {
      const other = `the export of ${listing.generatedTime ?? 'an unknown time'}`
      const listed = listing.files.length === 0 ? 'no file' : isSame ? 'other files' : other
      await runs.set(ref, { reason: `${SUPERSEDED}: it lists ${listed}` })
      return { state: 'over' }
    }
    const links = new Map(listing.files.map(({ path, link }) => [path, link]))
    const unfinished = known
      .filter((file) => !isFinal(file))
      .map((file) => ({ ...file, link: links.get(file.path) ?? '' }))
    await writeLinks(engine, { ...ref, generatedTime }, unfinished)
    const expired = unfinished.filter(isExpired)
    for (const { number: file } of expired)
      await files.update({ ...ref, file }, (one) =>
        isExpired(one) ? { ...one, state: 'waiting' } : undefined,
      )
    await runs.update(ref, (run) => ({ ...run, linksRenewed: run.linksRenewed + expired.length }))
    return { state: 'renewed' }
  })
}

/** How the reason begins of a run whose export the upstream has replaced; the run is started again. */
export const SUPERSEDED = 'the upstream no longer lists the export that was being imported'
