import { STILL_MS } from '../exports/view.ts'
import { nextRun } from '../platform/schedule.ts'
import { HOUR_MS, MINUTE_MS, SECOND_MS } from '../platform/time.ts'
import type { Facts } from './facts.ts'
import type { Findings, FoundProblem, ProblemCode } from './problem-codes.ts'

/** How long after its scheduled time a poll, or a run of the export, is late. */
const POLL_MARGIN_MS = 15 * MINUTE_MS
const RUN_MARGIN_MS = HOUR_MS
/** A snapshot is old when so many scheduled runs brought no newer one. */
const MISSED_RUNS = 3

/** Whether the n-th run of a schedule after a time is late. */
function isLate(schedule: string, since: string, marginMs: number, now: Date, runs = 1): boolean {
  let due: string | null = since
  for (let run = 0; run < runs && due !== null; run++) due = nextRun(schedule, new Date(due))
  return due !== null && now.getTime() - Date.parse(due) > marginMs
}

type Texts = Parameters<Findings['add']>[2]
type Roots = ReadonlyMap<string, FoundProblem>

const noTimers =
  'Restart the function app, and check that its timers are not disabled and that the last deployment is complete.'

/** What is wrong with the polls. `roots`: the problems that stop a flow, by its key. */
export function findPollProblems(
  findings: Findings,
  { changes, installed, now }: Facts,
  roots: Roots,
) {
  if (!changes.value) return
  const { reports, scheduleFor } = changes.value
  for (const [name, report] of Object.entries(reports)) {
    const schedule = scheduleFor(name)
    const { lastPoll, lastGoodPollAt, openItems, unknownStates, gap, nextPollAt } = report
    const add = (code: ProblemCode, texts: Texts, key?: string) =>
      findings.add(code, ['changes'], texts, key)
    const since = lastGoodPollAt ?? installed.value ?? now.toISOString()
    const isStopped = isLate(schedule, since, POLL_MARGIN_MS, now)
    const isTried = lastPoll && !isLate(schedule, lastPoll.startedAt, POLL_MARGIN_MS, now)
    const error = isTried ? lastPoll.error : null
    const root = error === null ? undefined : roots.get(name)
    const stopped = `No poll of ${name} ${lastGoodPollAt ? `succeeded since ${since}` : 'ever succeeded'}`
    if (root) root.consequences.push(isStopped ? stopped : `The last poll of ${name} failed`)
    else if (error !== null && isStopped)
      add('polls-stopped', {
        title: stopped,
        since,
        cause: error,
        fix: 'The next poll tries again; GET /api/status?preflight=true checks why.',
      })
    else if (error !== null)
      add('poll-failed', {
        title: `The last poll of ${name} failed: ${error}`,
        since: lastPoll?.startedAt,
        cause: error,
        fix: 'The next poll tries again.',
      })
    else if (isStopped)
      add(
        'polls-stopped',
        {
          title: stopped,
          since,
          cause: 'No poll has started: the timer does not run.',
          fix: noTimers,
          consequences: [stopped],
        },
        'timers',
      )
    else if (!lastPoll)
      add(
        'not-polled-yet',
        {
          title: 'No poll yet',
          cause: 'The app is new.',
          fix: 'Wait for the first one.',
          consequences: [`${name}: due at ${nextPollAt ?? 'no time'}`],
        },
        'yet',
      )
    if (gap)
      add(
        'poll-gap',
        {
          title: `No poll succeeded from ${gap.since} to ${gap.until}`,
          since: gap.since,
          cause:
            'The app or its data account stood still, or polls failed: GET /api/status has the last error.',
          fix: 'Nothing is lost: the poll afterwards listed what happened meanwhile. This is shown for a day.',
          consequences: [`${name}: from ${gap.since} to ${gap.until}`],
        },
        'gap',
      )
    if (lastPoll?.missing)
      add('items-missing', {
        title: `Defender does not know ${lastPoll.missing} of ${openItems} open ${name}, all at once`,
        since: lastPoll.startedAt,
        cause: 'Defender answers 404 for each of them by its id.',
        fix: 'None counts as gone. Check in the portal whether they exist.',
      })
    const bad = (lastPoll?.unreadable ?? 0) + (lastPoll?.badTimes ?? 0)
    if (bad > 0)
      add('rows-rejected', {
        title: `${bad} rows or times of ${name} could not be read by the last poll`,
        since: lastPoll?.startedAt,
        cause: 'Defender sent rows without id or state, too deep, or with times that are none.',
        fix: 'Look for a newer version of this app; the log lines `rows rejected` count them.',
      })
    const unknown = Object.keys(unknownStates)
    if (unknown.length > 0)
      add('unknown-states', {
        title: `Unknown states among the ${name}: ${unknown.join(', ')}`,
        cause: 'Defender uses states that this version does not know.',
        fix: 'Events carry them unchanged, and they never count as terminal; a newer version may know them.',
      })
  }
}

/** What is wrong with the runs of the export and its snapshot. */
export function findRunProblems(
  findings: Findings,
  { avHealth, installed, now }: Facts,
  roots: Roots,
) {
  if (!avHealth.value) return
  const { report, schedule, unwritten } = avHealth.value
  const { current, lastRun: last, skippedRows } = report
  const add = (code: ProblemCode, texts: Texts) => findings.add(code, ['avHealth'], texts)
  const start = installed.value ?? now.toISOString()
  let root = roots.get('av-health-files') ?? roots.get('av-health-pages')
  if (last?.state === 'failed') {
    const run = `/api/av-health/exports/${last.runId}`
    const title = `Export run ${last.runId} failed: ${last.reason ?? 'no reason is known'}`
    if (root && !last.guard) root.consequences.push(title)
    else
      root = add('run-failed', {
        title,
        since: last.endedAt,
        cause: last.reason ?? 'no reason is known',
        fix:
          last.guard && last.devices > 0
            ? `Compare with the Defender portal; POST ${run}/publish publishes it within 24 hours.`
            : `GET ${run} shows every file; the next scheduled run starts again.`,
      })
  } else if (last?.endedAt && last.rejected > 0)
    add('rows-rejected', {
      title: `${last.rejected} lines of export run ${last.runId} could not be read`,
      since: last.endedAt,
      cause: 'The export has lines that are no JSON or have no device id.',
      fix: `GET /api/av-health/exports/${last.runId} shows each with its reason.`,
    })
  const isGood = last?.endedAt && last.state !== 'failed'
  const unreadable = Object.entries((isGood && last.unreadable) || {})
  if (unreadable.length > 0)
    add('fields-unreadable', {
      title: `Fields of the export can't be read: ${unreadable.map(([field, times]) => `${field} × ${times}`).join(', ')}`,
      since: last?.endedAt,
      cause: 'Defender sent values in a form that this version does not know.',
      fix: 'They count as unknown, not as absent. Look for a newer version of this app.',
    })
  if (last?.waiting && now.getTime() - Date.parse(last.progressAt) >= STILL_MS)
    add('run-waiting', {
      title: `Export run ${last.runId} stands still since ${last.progressAt}: it waits for ${last.waiting.for}`,
      since: last.progressAt,
      cause: last.waiting.for,
      fix: `Nothing: it continues by itself at ${last.waiting.until} at the latest.`,
    })
  const lastStart = last?.startedAt ?? start
  if (isLate(schedule, lastStart, RUN_MARGIN_MS, now))
    root = add('runs-stopped', {
      title: last
        ? `No export run has started since ${lastStart}`
        : 'No export run has ever started',
      since: lastStart,
      cause: 'The timer AV_HEALTH_SCHEDULE does not run.',
      fix: noTimers,
    })
  const age =
    current &&
    (current.generatedTime ??
      new Date(now.getTime() - current.ageSeconds * SECOND_MS).toISOString())
  if (isLate(schedule, age ?? start, RUN_MARGIN_MS, now, MISSED_RUNS)) {
    const title = age ? `The snapshot is of ${age}` : 'No snapshot was ever published'
    if (root) root.consequences.push(title)
    else
      add('snapshot-old', {
        title: `${title}: ${MISSED_RUNS} runs or more were due since, and none brought a newer one`,
        since: age ?? start,
        cause: last
          ? `the last run is ${last.state}${last.reason ? `: ${last.reason}` : ''}`
          : 'no run has started',
        fix: 'Read the reason of the last run; when it is `unchanged`, Microsoft offers no newer export.',
      })
  }
  if (current?.changes === 'unknown')
    add('changes-unknown', {
      title: `What changed until snapshot ${current.runId} is unknown`,
      since: last?.runId === current.runId ? last.endedAt : null,
      cause: current.changesReason ?? 'no reason is known',
      fix: 'Nothing: the snapshot is whole, and the next one is compared with it. When it lasts, look for errors of compare-slice.',
    })
  if (unwritten)
    add('parquet-missing', {
      title: `The Parquet files of snapshot ${unwritten.runId} are not written`,
      since: unwritten.since,
      cause: unwritten.reason,
      fix: 'The next run writes all files again. When the cause is a 403, grant the app Storage Blob Data Contributor on the data account.',
      consequences: [
        `current.json names ${unwritten.shown ? `snapshot ${unwritten.shown}` : 'no snapshot'}`,
      ],
    })
  if (skippedRows.length > 0)
    add('rows-unreadable', {
      title: `Rows of table Exports can't be read: ${skippedRows.slice(0, 3).join(', ')}`,
      cause: 'Another version of the app, or somebody else, wrote them.',
      fix: 'Delete them, unless a newer version of the app wrote them.',
    })
}
