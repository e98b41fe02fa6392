import type { App } from '../app.ts'
import type { Traced } from '../platform/log.ts'
import { type Facts, loadFacts } from './facts.ts'
import { problemCodes } from './problem-codes.ts'
import { findProblems } from './problems.ts'
import { VERSION } from './sections/base.ts'

const levels = { error: 'error', warning: 'warn', notice: 'info' } as const

/**
 * Logs the state of all flows in one line `heartbeat`, also when nothing happens: no line means that the app has stopped.
 * Logs one line `problem` for each problem of the status. The alert rules read these lines: `alert` is the rule that a
 * problem belongs to. Reads tables only.
 */
export async function emitHeartbeat(app: App, traced: Traced) {
  const { log } = traced
  const facts = await loadFacts(app, traced)
  log.info('heartbeat', {
    version: VERSION,
    changes: changesFacts(facts),
    events: facts.events.value?.streams ?? null,
    avHealth: exportFacts(facts),
    upstreams: upstreamFacts(facts),
  })
  for (const { sections: _sections, ...problem } of findProblems(facts, app)) {
    const { alert, severity } = problemCodes[problem.code]
    log[levels[severity]]('problem', { ...problem, alert: alert ? severity : null })
  }
}

function changesFacts({ changes, now }: Facts) {
  if (!changes.value) return null
  const reports = Object.entries(changes.value.reports).map(([name, report]) => {
    const { lastPoll, openItems, oldestOpen, detectionLagSeconds } = report
    const pollAgeSeconds = secondsSince(lastPoll?.endedAt, now)
    const oldestOpenSeconds = secondsSince(oldestOpen?.since, now)
    const error = lastPoll?.error
    return [
      name,
      { pollAgeSeconds, error, openItems, oldestOpenSeconds, detectionLagSeconds },
    ] as const
  })
  return Object.fromEntries(reports)
}

function exportFacts({ avHealth }: Facts) {
  if (!avHealth.value) return null
  const { current, lastRun } = avHealth.value.report
  return {
    snapshotAgeSeconds: current?.ageSeconds,
    devices: current?.devices,
    lastRun: lastRun?.state,
    rejected: lastRun?.rejected,
  }
}

/** State and calls left of each family of routes. */
function upstreamFacts({ defender, tenable }: Facts) {
  const known = Object.entries({ defender, tenable }).flatMap(([upstream, { value }]) =>
    Object.entries(value?.families ?? {}).map(
      ([family, { state, hourLeft }]) => [`${upstream} ${family}`, { state, hourLeft }] as const,
    ),
  )
  return Object.fromEntries(known)
}

const secondsSince = (time: string | undefined, now: Date) =>
  time === undefined ? null : Math.round((now.getTime() - Date.parse(time)) / 1000)
