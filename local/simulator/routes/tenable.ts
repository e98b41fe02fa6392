import { randomUUID } from 'node:crypto'
import type { TenableFault, TenableRefusal } from '../faults.ts'
import { guid } from '../random.ts'
import { brokenAnswer, encoded, isDue, json, type Reply } from '../reply.ts'
import type { Route, World } from '../route.ts'
import { encodeDetails, encodeRun, encodeScan } from '../scans/encode-tenable-scan.ts'
import type { TenableRoute } from '../scans/scans.ts'
import { findRun, runNow, type TenableRun, type TenableScan } from '../scans/tenable-scan.ts'
import { alterDetails, alterRuns, alterWord } from '../scans/variants.ts'
import { type Call, wholeNumber } from '../server.ts'

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
    answer: (call, world) => guarded(call, world, 'scans', () => list(world)),
  },
  aboutScan('details', '', (scan, query, world) => details(scan, query, world)),
  aboutScan('history', '\\/history', (scan, query, world) => history(scan, query, world)),
  aboutScan('latest-status', '\\/latest-status', (scan, _, { clock, faults }) => {
    const newest = findRun(scan, null)
    const word = newest ? runNow(newest, clock.now()).status : 'empty'
    return json(200, { status: alterWord(word, faults.tenableVariant) })
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
      guarded(call, world, route, () => {
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
    scans: scans.tenable.all().map((scan) => encodeScan(scan, now)),
    timestamp: Math.floor(now.getTime() / 1000),
  })
}

function details(scan: TenableScan, query: URLSearchParams, { clock, faults }: World): Reply {
  if (scan.kind === 'web-app')
    return refusals[scan.webAppAnswer === 403 ? 'forbidden' : 'server-error']()
  const id = query.get('history_id')
  // A run that an agent has triggered can't be requested.
  const run = id !== null && scan.kind === 'triggered-agent' ? undefined : findRun(scan, id)
  // The text does not say whether the scan or the run is unknown.
  if (id !== null && !run) return refusals['not-found']()
  const runs = faults.unsortedRuns === 'oldest-first' ? scan.runs : scan.runs.toReversed()
  const whole = encodeDetails(scan, run, runs, clock.now())
  return json(200, alterDetails(whole, faults.tenableVariant))
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
  // The first field decides; the next one only when two runs have the same value.
  for (const { name, order: way } of order.toReversed()) {
    const key = sortKeys[name] ?? (() => 0)
    runs.sort((a, b) => compare(key(a, now), key(b, now)) * (way === 'desc' ? -1 : 1))
  }
  const page = runs.slice(offset, offset + limit).map((run) => encodeRun(run, now))
  return json(200, {
    pagination: { offset, total: runs.length, sort: order, limit },
    history: alterRuns(page, faults.tenableVariant),
  })
}

const sortKeys: Record<string, (run: TenableRun, now: Date) => string | number> = {
  start_date: (run, now) => runNow(run, now).startedAtMs ?? Number.POSITIVE_INFINITY,
  end_date: (run, now) => runNow(run, now).endedAtMs ?? Number.POSITIVE_INFINITY,
  status: (run, now) => runNow(run, now).status,
}

/** Reads `start_date:desc,status:asc`; undefined for a field that can't be sorted by. */
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

const faultOf = {
  details: 'tenableDetailsStatus',
  history: 'tenableHistoryStatus',
  'latest-status': 'tenableLatestStatus',
  scans: 'tenableScansStatus',
} as const

/** Answers a call of Tenable as all its routes do: checks the keys and the limits first, and gives every answer an id. */
export async function guarded(
  call: Call,
  world: World,
  route: TenableRoute,
  inside: () => Reply,
): Promise<Reply> {
  const { scans, faults, clock } = world
  scans.calls[route]++
  scans.userAgents.add(call.headers['user-agent'] ?? '')
  scans.callsUnderWay++
  try {
    const refused = refuse(call, world)
    if (refused) return withId(refused)
    if (faults.slowScanSeconds > 0) await clock.sleep(faults.slowScanSeconds * 1000, call.signal)
    const reply = forced(faults.tenableStatus) ?? forced(faults[faultOf[route]]) ?? inside()
    return withId(encoded(reply, faults.scanEncoding))
  } finally {
    scans.callsUnderWay--
  }
}

/** Adds the id that Tenable gives each of its answers. */
export const withId = (reply: Reply): Reply => ({
  ...reply,
  headers: { 'x-request-uuid': randomUUID().replaceAll('-', ''), ...reply.headers },
})

function refuse({ headers }: Call, { scans, faults, countCall }: World): Reply | undefined {
  if (!isKeyPair(headers['x-apikeys'], scans.keys)) return refusals.unauthorized()
  if (faults.tenableCallsAtOnce > 0 && scans.callsUnderWay > faults.tenableCallsAtOnce)
    return refusals.concurrency()
  if (faults.tenableCallsPerMinute <= 0) return undefined
  const refusal = countCall('tenable', [{ calls: faults.tenableCallsPerMinute, seconds: 60 }])
  if (!refusal) return undefined
  const reply = refusals.rate()
  return {
    ...reply,
    headers: { ...reply.headers, 'retry-after': String(refusal.retryAfterSeconds) },
  }
}

/** `accessKey=…; secretKey=…` with any spaces, with or without a semicolon at the end. */
function isKeyPair(
  header: string | string[] | undefined,
  keys: { accessKey: string; secretKey: string },
): boolean {
  const found = /^\s*accessKey\s*=\s*([^;\s]+)\s*;\s*secretKey\s*=\s*([^;\s]+)\s*;?\s*$/.exec(
    String(header),
  )
  return found?.[1] === keys.accessKey && found[2] === keys.secretKey
}

function forced(fault: TenableFault | null): Reply | undefined {
  if (!fault || !isDue(fault)) return undefined
  return Object.hasOwn(refusals, fault.answer)
    ? refusals[fault.answer as TenableRefusal]()
    : brokenAnswer(fault.answer as Exclude<TenableFault['answer'], TenableRefusal>)
}

const errorReply = (statusCode: number, error: string, message: string) =>
  json(statusCode, { statusCode, error, message })

const tooMany: Reply = {
  status: 429,
  headers: { 'content-type': 'text/html', 'retry-after': '30', server: 'tenable.io' },
  body:
    '<html>\r\n<head><title>429 Too Many Requests</title></head>\r\n<body>\r\n' +
    '<center><h1>429 Too Many Requests</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n',
}

const duplicate = 'Please modify request or wait until existing export is complete'
const [job, container] = [guid(1, 57), guid(1, 58)]

/** Each refusal as it was recorded; when there is no recording, as the vendor documents it. */
export const refusals: Record<TenableRefusal, () => Reply> = {
  'bad-request': () => json(400, { error: 'Invalid parameter' }),
  unauthorized: () => errorReply(401, 'Unauthorized', 'Invalid credentials.'),
  forbidden: () => errorReply(403, 'Forbidden', 'Insufficient scope'),
  'not-found': () => json(404, { error: 'Scan not found' }),
  'no-such-path': () => json(404, { error: 'The requested file was not found' }),
  /** Too many calls in a minute: a page of the gateway, before the call reaches any service. */
  rate: () => tooMany,
  /** Too many concurrent calls: the same page from behind a gateway; no other difference was recorded. */
  concurrency: () => ({
    ...tooMany,
    headers: {
      ...tooMany.headers,
      'x-gateway-site-id': 'nginx-router-b-eng-us-east-1',
      'x-path-handler': 'tenable-io-scans',
    },
  }),
  /** The same export is running: the text of one of the two export services … */
  'duplicate-export': () =>
    json(429, {
      status: 429,
      message: `Duplicate export not allowed. ${duplicate} (job_uuid=${job} container_uuid=${container} createdAt=2026-11-20T06:58:15.082Z)`,
    }),
  /** … and of the other one, which sends its message in pieces. */
  'duplicate-export-in-pieces': () =>
    json(429, {
      values: [job, container],
      strings: ['Duplicate export (job_uuid=', ' container_uuid=', `). not allowed. ${duplicate}.`],
      empty: false,
      bytes: Buffer.from(
        `Duplicate export (job_uuid=${job} container_uuid=${container}). not allowed. ${duplicate}.`,
      ).toString('base64'),
      value_count: 2,
    }),
  'server-error': () =>
    errorReply(500, 'Internal Server Error', 'An internal server error occurred'),
  'gateway-timeout': () =>
    errorReply(504, 'Gateway Timeout', 'Please wait a moment and try your request again.'),
}
