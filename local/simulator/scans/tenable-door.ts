import { randomUUID } from 'node:crypto'
import { brokenAnswer, isDue } from '../forced-answer.ts'
import type { Reply } from '../reply.ts'
import type { Call } from '../route.ts'
import type { World } from '../world.ts'
import type { TenableFault } from './scan-faults.ts'
import type { TenableRoute } from './scans.ts'
import { refusals } from './tenable-refusal.ts'

const faultOf = {
  details: 'tenableDetailsStatus',
  history: 'tenableHistoryStatus',
  'latest-status': 'tenableLatestStatus',
  scans: 'tenableScansStatus',
} as const

/** Answers a call of Tenable as all its routes do: who asks and how often is looked at first, and every answer has its id. */
export async function throughDoor(
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
    return withId(forced(faults.tenableStatus) ?? forced(faults[faultOf[route]]) ?? inside())
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

/** `accessKey=…; secretKey=…`, whatever the spaces and with or without a semicolon at the end. */
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
  return fault.answer in refusals
    ? refusals[fault.answer as keyof typeof refusals]()
    : brokenAnswer(fault.answer as Exclude<TenableFault['answer'], keyof typeof refusals>)
}
