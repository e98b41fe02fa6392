import type { App } from '../app.ts'
import { reportChanges } from '../changes/poll-state.ts'
import { resources } from '../changes/resources/index.ts'
import { reportStream } from '../events/feed/read.ts'
import { reportExports } from '../exports/view.ts'
import { ENTRA, isTokenError } from '../platform/credential.ts'
import type { Log, Traced } from '../platform/log.ts'
import { DAY_MS, HOUR_MS } from '../platform/time.ts'
import { families } from './flows.ts'
import { comingEnds, tryLoad } from './problems.ts'
import { VERSION } from './sections/base.ts'
import { streams } from './sections/events.ts'

/** The export is called twice a day, and falls back to other routes where its own is gone. */
const GONE_MS = DAY_MS
/** A route that answers 404 is retired when it has answered nothing else for so long. */
const RETIRED_MS = 2 * HOUR_MS

/**
 * Logs the state of all flows in one line `heartbeat`, also when nothing happens: no line means that the app has stopped.
 * Logs one more line for each upstream that is unreachable, each budget that is used up, and each endpoint that is retired
 * or soon will be. The alert rules read these lines. Reads tables by key and calls no upstream.
 */
export async function emitHeartbeat(app: App, traced: Traced) {
  const { log } = traced
  const now = app.clock.now()
  const reports = (
    await Promise.all([orNull(() => defenderFamilies(app)), orNull(() => tenableFamilies(app))])
  ).flat()
  const known = reports.filter((report) => report !== null)
  log.info('heartbeat', {
    version: VERSION,
    changes: await orNull(() => changesFacts(app, traced, now)),
    events: await orNull(() => eventsFacts(app, now)),
    avHealth: await orNull(() => exportFacts(app, traced)),
    upstreams: Object.fromEntries(
      known.map(({ upstream, family, state, hourLeft }) => [
        `${upstream} ${family}`,
        { state, hourLeft },
      ]),
    ),
  })
  for (const report of known) emitFamily(report, now, log)
  for (const { isNear, ...end } of (await orNull(() => comingEnds(app))) ?? [])
    if (isNear) log.warn('endpoint retirement', end)
}

function emitFamily(
  {
    upstream,
    family,
    state,
    lastError,
    hourLeft,
    stoppedUntil,
  }: Awaited<ReturnType<typeof tenableFamilies>>[number],
  now: Date,
  log: Log,
) {
  const { title: reason, at, since } = lastError ?? {}
  const what = { upstream: isTokenError(reason) ? ENTRA : upstream, family, reason, at }
  const atMs = Date.parse(at ?? '')
  const lastedMs = atMs - Date.parse(since ?? '')
  if (state === 'gone' && now.getTime() - atMs < GONE_MS && lastedMs >= RETIRED_MS)
    log.error('endpoint retirement', { cause: 'gone', ...what })
  if (state === 'unreachable') log.error('upstream unreachable', what)
  if (hourLeft === 0 || stoppedUntil)
    log.warn('budget exhausted', { upstream, family, hourLeft, stoppedUntil })
}

async function defenderFamilies(app: App) {
  const { healthFor, budget } = await app.defender()
  return Promise.all(
    families.map(async (family) => ({
      upstream: 'defender',
      family: family.name,
      ...(await healthFor(family).report()),
      ...(await budget.left(family.name)),
    })),
  )
}

async function tenableFamilies(app: App) {
  const { health, budget } = await app.tenable()
  const [report, { scans }] = await Promise.all([health.report(), budget.report()])
  return [{ upstream: 'tenable', family: 'scans', ...report, ...scans }]
}

async function changesFacts(app: App, traced: Traced, now: Date) {
  const { context: pollContext } = await app.changes()
  const reports = resources.map(async ({ name }) => {
    const { lastPoll, openItems, oldestOpen, detectionLagSeconds } = await reportChanges(
      pollContext(name, traced),
      null,
    )
    const pollAgeSeconds = secondsSince(lastPoll?.endedAt, now)
    const oldestOpenSeconds = secondsSince(oldestOpen?.since, now)
    return [
      name,
      { pollAgeSeconds, error: lastPoll?.error, openItems, oldestOpenSeconds, detectionLagSeconds },
    ] as const
  })
  return Object.fromEntries(await Promise.all(reports))
}

async function eventsFacts(app: App, now: Date) {
  const { feed } = await app.events()
  const reports = streams.map(async (name) => {
    const { head, dispatched, lagSeconds } = await reportStream(feed, name, now)
    return [name, { head, dispatched, lagSeconds }] as const
  })
  return Object.fromEntries(await Promise.all(reports))
}

async function exportFacts(app: App, traced: Traced) {
  const { current, lastRun } = await reportExports((await app.avHealth()).engine(traced), null)
  return {
    snapshotAgeSeconds: current?.ageSeconds,
    devices: current?.devices,
    lastRun: lastRun?.state,
    rejected: lastRun?.rejected,
  }
}

const secondsSince = (time: string | undefined, now: Date) =>
  time === undefined ? null : Math.round((now.getTime() - Date.parse(time)) / 1000)

/** Null where the value can't be loaded: the line must always be written. */
const orNull = async <T>(read: () => Promise<T>) => (await tryLoad(read)).value
