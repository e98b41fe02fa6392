import type { App } from '../app.ts'
import { type ChangesReport, reportChanges } from '../changes/poll-state.ts'
import { resourceNames } from '../changes/resources/index.ts'
import { reportStream } from '../events/feed/read.ts'
import { reportExports } from '../exports/view.ts'
import type { BudgetLeft } from '../platform/budget.ts'
import type { Facts, Log, Traced } from '../platform/log.ts'
import { DAY_MS } from '../platform/time.ts'
import type { UpstreamReport } from '../platform/upstream-health.ts'
import { comingEnds, tryLoad } from './problems.ts'
import { VERSION } from './sections/base.ts'
import { streams } from './sections/events.ts'

/** How one family of an upstream's routes fares, and what may still be asked of it. */
interface FamilyReport extends UpstreamReport, BudgetLeft {
  upstream: string
  family: string
}

/** An export asks twice a day, and falls back to other routes where its own is gone. */
const GONE_MS = DAY_MS

/**
 * Logs the state of all flows in one line `heartbeat`, also when nothing happens: no line means that the app has stopped.
 * Logs one more line for each upstream that is unreachable, each budget that is used up, and each endpoint that is retired
 * or soon will be. The alert rules read these lines. Reads tables by key and calls no upstream.
 */
export async function emitHeartbeat(app: App, traced: Traced): Promise<void> {
  const { log } = traced
  const now = app.clock.now()
  const families = (
    await Promise.all([partOf(() => defenderFamilies(app)), partOf(() => tenableFamilies(app))])
  ).flat()
  const known = families.filter((family) => family !== null)
  log.info('heartbeat', {
    version: VERSION,
    changes: await partOf(() => changesFacts(app, traced, now)),
    events: await partOf(() => eventsFacts(app, now)),
    avHealth: await partOf(() => exportFacts(app, traced)),
    upstreams: Object.fromEntries(
      known.map(({ upstream, family, state, hourLeft }) => [
        `${upstream} ${family}`,
        { state, hourLeft },
      ]),
    ),
  })
  for (const family of known) emitFamily(family, now, log)
  for (const { isNear, ...end } of (await partOf(() => comingEnds(app))) ?? [])
    if (isNear) log.warn('endpoint retirement', end)
}

function emitFamily(
  { upstream, family, state, lastError, hourLeft, stoppedUntil }: FamilyReport,
  now: Date,
  log: Log,
) {
  const what = { upstream, family, reason: lastError?.title, at: lastError?.at }
  const ageMs = now.getTime() - Date.parse(lastError?.at ?? '')
  if (state === 'gone' && ageMs < GONE_MS)
    log.error('endpoint retirement', { cause: 'gone', ...what })
  if (state === 'unreachable') log.error('upstream unreachable', what)
  if (hourLeft === 0 || stoppedUntil)
    log.warn('budget exhausted', { upstream, family, hourLeft, stoppedUntil })
}

async function defenderFamilies(app: App): Promise<FamilyReport[]> {
  const { familyHealth, budget } = await app.defender()
  const left = await budget.report()
  const families = Object.entries(familyHealth).map(async ([family, health]) => ({
    upstream: 'defender',
    family,
    ...(await health.report()),
    ...left[family as keyof typeof left],
  }))
  return Promise.all(families)
}

async function tenableFamilies(app: App): Promise<FamilyReport[]> {
  const { health, budget } = await app.tenable()
  const [report, { scans }] = await Promise.all([health.report(), budget.report()])
  return [{ upstream: 'tenable', family: 'scans', ...report, ...scans }]
}

async function changesFacts(app: App, traced: Traced, now: Date): Promise<Facts> {
  const { context: pollContext } = await app.changes()
  const reports = resourceNames.map(async (name) => {
    const { lastPoll, openItems, oldestOpen, detectionLagSeconds }: ChangesReport =
      await reportChanges(pollContext(name, traced), null)
    const pollAgeSeconds = secondsSince(lastPoll?.endedAt, now)
    const oldestOpenSeconds = secondsSince(oldestOpen?.since, now)
    return [
      name,
      { pollAgeSeconds, error: lastPoll?.error, openItems, oldestOpenSeconds, detectionLagSeconds },
    ] as const
  })
  return Object.fromEntries(await Promise.all(reports))
}

async function eventsFacts(app: App, now: Date): Promise<Facts> {
  const { feed } = await app.events()
  const reports = streams.map(async (name) => {
    const { head, dispatched, lagSeconds } = await reportStream(feed, name, now)
    return [name, { head, dispatched, lagSeconds }] as const
  })
  return Object.fromEntries(await Promise.all(reports))
}

async function exportFacts(app: App, traced: Traced): Promise<Facts> {
  const { current, lastRun } = await reportExports((await app.avHealth()).engine(traced), null)
  const { state, rejected } = lastRun ?? {}
  return {
    snapshotAgeSeconds: current?.ageSeconds,
    devices: current?.devices,
    lastRun: state,
    rejected,
  }
}

const secondsSince = (time: string | undefined, now: Date) =>
  time === undefined ? null : Math.round((now.getTime() - Date.parse(time)) / 1000)

/** Null where there is no such part: the line itself must come. */
const partOf = async <T>(read: () => Promise<T>): Promise<T | null> => (await tryLoad(read)).value
