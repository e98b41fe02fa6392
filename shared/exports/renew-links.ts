import { ConfigError, ShapeError, UpstreamError } from '../platform/errors.ts'
import { digestPaths } from './begin-run.ts'
import { type ExportEngine, stamp } from './engine.ts'
import { unlessFenced } from './fence.ts'
import type { FilesRef, Renewed } from './names.ts'
import type { Run } from './run-record.ts'

/** How long one renewal keeps the others waiting; then it counts as dead. */
const CLAIM_MS = 60_000

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
  await runs.update(ref, (run: Run) => {
    const nowMs = clock.now().getTime()
    mine = run.renewingUntil === null || Date.parse(run.renewingUntil) <= nowMs
    return mine ? { ...run, renewingUntil: new Date(nowMs + CLAIM_MS).toISOString() } : run
  })
  return mine
}

const isSameTime = (one: string | null, other: string | null): boolean =>
  one === other || (one !== null && other !== null && Date.parse(one) === Date.parse(other))
