import { json, type Reply } from '../reply.ts'
import type { Route } from '../route.ts'
import type { TenableRoute } from '../scans/scans.ts'
import { spellDetails, spellRun, spellScan } from '../scans/spell-tenable-scan.ts'
import { throughDoor } from '../scans/tenable-door.ts'
import { refusals } from '../scans/tenable-refusal.ts'
import { findRun, runNow, type TenableRun, type TenableScan } from '../scans/tenable-scan.ts'
import type { World } from '../world.ts'

/**
 * Tenable's scans: their list, the details of a run, the list of a scan's runs, and the newest run's status.
 * https://developer.tenable.com/reference/scans-details
 * https://developer.tenable.com/reference/scans-history
 * https://developer.tenable.com/reference/scans-get-latest-status
 */
export const tenable: Route[] = [
  {
    method: 'GET',
    path: /^\/tenable\/scans$/,
    answer: (call, world) => throughDoor(call, world, 'scans', () => list(world)),
  },
  aboutScan('details', '', (scan, query, world) => details(scan, query, world)),
  aboutScan('history', '\\/history', (scan, query, world) => history(scan, query, world)),
  aboutScan('latest-status', '\\/latest-status', (scan, _, { clock }) => {
    const newest = findRun(scan, null)
    return json(200, { status: newest ? runNow(newest, clock.now()).status : 'empty' })
  }),
]

function aboutScan(
  route: TenableRoute,
  end: string,
  answer: (scan: TenableScan, query: URLSearchParams, world: World) => Reply,
): Route {
  return {
    method: 'GET',
    path: new RegExp(`^\\/tenable\\/scans\\/(?<id>[^/]+)${end}$`),
    answer: (call, world) =>
      throughDoor(call, world, route, () => {
        const scan = world.scans.tenable.get(call.caught.id ?? '')
        return scan ? answer(scan, call.url.searchParams, world) : refusals['not-found']()
      }),
  }
}

function list({ scans, clock }: World): Reply {
  const now = clock.now()
  return json(200, {
    folders: [
      { id: 3, name: 'My Scans', type: 'main', custom: 0, default_tag: 1, unread_count: 0 },
    ],
    scans: scans.tenable.all().map((scan) => spellScan(scan, now)),
    timestamp: Math.floor(now.getTime() / 1000),
  })
}

function details(scan: TenableScan, query: URLSearchParams, { clock, faults }: World): Reply {
  if (scan.kind === 'web-app')
    return refusals[scan.webAppAnswer === 403 ? 'forbidden' : 'server-error']()
  const id = query.get('history_id')
  // A run that an agent has triggered can't be named.
  const run = id !== null && scan.kind === 'triggered-agent' ? undefined : findRun(scan, id)
  // The text does not tell whether it was the scan or the run.
  if (id !== null && !run) return refusals['not-found']()
  const runs = faults.unsortedRuns === 'oldest-first' ? scan.runs : scan.runs.toReversed()
  return json(200, spellDetails(scan, run, runs, clock.now()))
}

function history(scan: TenableScan, query: URLSearchParams, { clock, faults }: World): Reply {
  const now = clock.now()
  const limit = wholeNumber(query.get('limit') ?? '50')
  const offset = wholeNumber(query.get('offset') ?? '0')
  const order = readOrder(query.get('sort') ?? '')
  if (limit === undefined || offset === undefined || !order) return refusals['bad-request']()
  const hasRuns = scan.kind === 'remote' || scan.kind === 'web-app'
  const shown = (hasRuns ? scan.runs : []).filter(
    (run) => query.get('exclude_rollover') !== 'true' || !run.isRollover,
  )
  const runs = faults.unsortedRuns === 'oldest-first' ? shown : shown.toReversed()
  // The first field decides; only where two runs are alike in it the next one does.
  for (const { name, order: way } of order.toReversed()) {
    const key = sortKeys[name] ?? (() => 0)
    runs.sort((a, b) => compare(key(a, now), key(b, now)) * (way === 'desc' ? -1 : 1))
  }
  return json(200, {
    pagination: { offset, total: runs.length, sort: order, limit },
    history: runs.slice(offset, offset + limit).map((run) => spellRun(run, now)),
  })
}

const sortKeys: Record<string, (run: TenableRun, now: Date) => string | number> = {
  start_date: (run, now) => runNow(run, now).startedAtMs ?? Number.POSITIVE_INFINITY,
  end_date: (run, now) => runNow(run, now).endedAtMs ?? Number.POSITIVE_INFINITY,
  status: (run, now) => runNow(run, now).status,
}

/** Reads `start_date:desc,status:asc`; undefined for what can't be sorted by. */
function readOrder(text: string): { name: string; order: string }[] | undefined {
  const order = (text === '' ? [] : text.split(',')).map((part) => {
    const [name = '', way = 'asc'] = part.split(':')
    return { name, order: way }
  })
  return order.every((one) => Object.hasOwn(sortKeys, one.name) && /^(?:asc|desc)$/.test(one.order))
    ? order
    : undefined
}

const compare = (a: string | number, b: string | number) => (a < b ? -1 : Number(a > b))
const wholeNumber = (text: string) => (/^\d{1,9}$/.test(text) ? Number(text) : undefined)
