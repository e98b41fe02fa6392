import { ConfigError, ShapeError, UpstreamError } from '../platform/errors.ts'
import { lease } from '../platform/table-record.ts'
import { MINUTE_MS } from '../platform/time.ts'
import { type ExportEngine, stamp } from './engine.ts'
import { digestPaths } from './file-store.ts'
import type { ExportMethod, Listing } from './kind.ts'
import type { Begun, FilesRef, Renewed, RunRef } from './names.ts'
import { endRun } from './publish.ts'
import { Fenced, isOver, type Run, unlessFenced } from './run-record.ts'
import { createFor } from './snapshot-table.ts'

/**
 * Lists what there is to import and writes it into the ledger; the run goes on to `importing` only when every file row is
 * there. A run that is further already answers the files that are still to do.
 */
export async function beginRun(engine: ExportEngine, ref: RunRef): Promise<Begun> {
  return unlessFenced<Begun>({ state: 'over' }, async () => {
    const { runs, files, clock } = engine
    const run = await runs.run(ref.runId)
    if (!run || run.epoch !== ref.epoch) throw new Fenced(ref.runId)
    const over = isOver(run.state)
    if (over || run.state === 'importing') {
      await files.raise(ref)
      // A run that ended may have been cut off while tidying up: its conclusion goes on from there.
      if (over) return { state: 'importing', files: [] }
      const all = await files.all(ref.runId)
      return { state: 'importing', files: all.filter(isUndone).map((file) => file.number) }
    }
    await runs.update(ref, (known) => ({ ...known, state: 'listing', progressAt: stamp(clock) }))
    const offer = await requestListing(engine, run)
    if ('seconds' in offer) {
      await runs.update(ref, (known) => ({ ...known, state: 'listing', reason: offer.reason }))
      return { state: 'later', seconds: offer.seconds }
    }
    if ('reason' in offer) {
      await endRun(engine, ref, 'failed', offer.reason)
      return { state: 'over' }
    }
    return acceptListing(engine, ref, run, offer)
  })
}

const isUndone = (file: { state: string }) => file.state !== 'imported' && file.state !== 'failed'

type Offer = { method: ExportMethod; listing: Listing }
type Refused = { reason: string } | { reason: string; seconds: number }

/** The listing of the method that was asked for; `auto` falls back to the paged list where files are not to be had. */
async function requestListing(
  { kind, log }: ExportEngine,
  { asked }: Run,
): Promise<Offer | Refused> {
  if (asked === 'json') return { method: 'json', listing: pagedListing() }
  try {
    return { method: 'files', listing: await kind.listFiles() }
  } catch (error) {
    if (error instanceof UpstreamError) {
      const { status, retryable, retryAfterMs = 30_000 } = error.facts
      if (asked === 'auto' && (status === 403 || status === 404)) {
        log.warn('export files are not to be had, the paged list is used', {
          reason: error.message,
        })
        return { method: 'json', listing: pagedListing() }
      }
      if (retryable)
        return { reason: error.message, seconds: Math.min(Math.ceil(retryAfterMs / 1000), 900) }
    }
    if (
      error instanceof UpstreamError ||
      error instanceof ConfigError ||
      error instanceof ShapeError
    ) {
      return { reason: error.message }
    }
    throw error
  }
}

/** The paged list is one unit without a link: it is restarted whole. */
const pagedListing = (): Listing => ({
  generatedTime: null,
  files: [{ path: 'paged-list', link: '' }],
})

async function acceptListing(
  engine: ExportEngine,
  ref: RunRef,
  run: Run,
  { method, listing }: Offer,
): Promise<Begun> {
  const { kind, runs, files } = engine
  const over = await decideListing(engine, run, listing, method)
  if (over) {
    await runs.update(ref, (known) => ({
      ...known,
      state: 'listing',
      method,
      generatedTime: listing.generatedTime,
    }))
    await endRun(engine, ref, over.state, over.reason)
    return { state: 'over' }
  }
  const snapshot = kind.snapshotTable(ref.runId)
  await runs.update(ref, (known) => ({
    ...known,
    // Named again each time: a twin of this activity that lags behind may not touch a run that has gone on.
    state: 'listing',
    method,
    generatedTime: listing.generatedTime,
    snapshot,
    reason: null,
  }))
  await createFor(engine, ref, snapshot)
  await files.write(ref, listing.files)
  await runs.update(ref, (known) => ({
    ...known,
    state: 'importing',
    listed: listing.files.length,
  }))
  return { state: 'importing', files: listing.files.map((_, index) => index + 1) }
}

/** Whether a listing is worth importing at all. */
async function decideListing(
  { runs }: ExportEngine,
  run: Run,
  listing: Listing,
  method: ExportMethod,
) {
  if (listing.files.length === 0)
    return { state: 'empty', reason: 'the upstream listed no file' } as const
  const current = await runs.current()
  if (!current || method === 'json') return undefined
  const { generatedTime } = listing
  if (
    generatedTime &&
    current.generatedTime &&
    Date.parse(generatedTime) < Date.parse(current.generatedTime)
  ) {
    return { state: 'failed', reason: 'the listing is older than the published snapshot' } as const
  }
  const same = generatedTime
    ? current.generatedTime !== null &&
      Date.parse(generatedTime) === Date.parse(current.generatedTime)
    : current.generatedTime === null && current.paths === digestPaths(listing.files)
  if (!same || run.force || current.method !== 'files') return undefined
  return {
    state: 'unchanged',
    reason: `snapshot ${current.runId} holds this export already`,
  } as const
}

/** How long one renewal keeps the others waiting; then it counts as dead. */
const CLAIM_MS = MINUTE_MS

/**
 * Gets new links for all files of the run that are not done, with one upstream call however many ask at once. Files are
 * matched by their path; a listing of another export ends the run, since two exports are never mixed.
 */
export async function renewLinks(engine: ExportEngine, ref: FilesRef): Promise<Renewed> {
  return unlessFenced<Renewed>({ state: 'over' }, async () => {
    const { kind, runs, files } = engine
    if (!(await areStillExpired(engine, ref))) return { state: 'renewed' }
    if (!(await claim(engine, ref))) return { state: 'later', seconds: 15 }
    let listing: Awaited<ReturnType<typeof kind.listFiles>>
    try {
      listing = await kind.listFiles()
    } catch (error) {
      await runs.update(ref, (run) => ({ ...run, renewingUntil: null }))
      if (error instanceof UpstreamError && error.facts.retryable) {
        return {
          state: 'later',
          seconds: Math.min(Math.ceil((error.facts.retryAfterMs ?? 30_000) / 1000), 900),
        }
      }
      if (
        error instanceof UpstreamError ||
        error instanceof ConfigError ||
        error instanceof ShapeError
      ) {
        await runs.update(ref, (run) => ({
          ...run,
          reason: `links could not be renewed: ${error.message}`,
        }))
        return { state: 'over' }
      }
      throw error
    }
    const known = await files.all(ref.runId)
    const run = await runs.update(ref, (before) => ({
      ...before,
      renewingUntil: null,
      progressAt: stamp(engine.clock),
    }))
    if (
      !isSameTime(listing.generatedTime, run.generatedTime) ||
      digestPaths(listing.files) !== digestPaths(known)
    ) {
      await runs.update(ref, (before) => ({ ...before, reason: SUPERSEDED }))
      return { state: 'over' }
    }
    const links = new Map(listing.files.map(({ path, link }) => [path, link]))
    let renewed = 0
    for (const { number, path, state, link } of known) {
      if (state === 'imported' || state === 'failed' || link === links.get(path)) continue
      await files.update({ ...ref, file: number }, (file) => ({
        ...file,
        link: links.get(path) ?? null,
        state: file.state === 'expired' ? 'waiting' : file.state,
      }))
      if (state === 'expired') renewed += 1
    }
    await runs.update(ref, (before) => ({ ...before, linksRenewed: before.linksRenewed + renewed }))
    return { state: 'renewed' }
  })
}

/** Why a run fails when the upstream has a newer export meanwhile; it is begun anew then. */
export const SUPERSEDED = 'the upstream replaced the export while it was being imported'

async function areStillExpired({ files }: ExportEngine, ref: FilesRef): Promise<boolean> {
  const known = await files.all(ref.runId)
  return known.some((file) => ref.files.includes(file.number) && file.state === 'expired')
}

/** One renewal at a time; whoever comes meanwhile waits and then finds the new links. */
async function claim({ runs, clock }: ExportEngine, ref: FilesRef): Promise<boolean> {
  let mine = false
  await runs.update(ref, (run) => {
    const taken = lease(run, 'renewingUntil', CLAIM_MS, clock.now())
    mine = taken.waitMs === 0
    return taken.record
  })
  return mine
}

const isSameTime = (one: string | null, other: string | null): boolean =>
  one === other || (one !== null && other !== null && Date.parse(one) === Date.parse(other))
