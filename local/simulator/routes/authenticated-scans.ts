import type { ForcedAnswer } from '../faults.ts'
import { encoded, json, type Reply } from '../reply.ts'
import { authorize, badRequest, type Route, readPage, type World } from '../route.ts'
import { encodeDefinition, encodeHistory, type ScanSession } from '../scans/defender-scan.ts'
import type { DefenderScanRoute } from '../scans/scans.ts'
import { alterDefinition } from '../scans/variants.ts'
import type { Call } from '../server.ts'

const base = '^\\/defender\\/api(\\/v1\\.0)?\\/DeviceAuthenticatedScanDefinitions'
const MAX_SESSIONS = 4096

/**
 * Defender's authenticated scans: the definitions, and the history by session and by definition.
 * https://learn.microsoft.com/en-us/defender-endpoint/api/get-all-scan-definitions
 * https://learn.microsoft.com/en-us/defender-endpoint/api/get-scan-history-by-session
 * https://learn.microsoft.com/en-us/defender-endpoint/api/get-scan-history-by-definition
 */
export const authenticatedScans: Route[] = [
  {
    method: 'GET',
    path: new RegExp(`${base}$`, 'i'),
    answer: (call, world) =>
      enter(call, world, 'definitions', world.faults.scanDefinitionsStatus, async () =>
        json(200, {
          '@odata.context': `${world.origin()}/defender/api/$metadata#DeviceAuthenticatedScanDefinitions`,
          value: world.scans.definitions
            .all()
            .map((one) =>
              encodeDefinition(one, world.scans.sessions.all(), world.tokens.options.tenantId),
            )
            .map((one) => alterDefinition(one, world.faults.defenderScanVariant)),
        }),
      ),
  },
  {
    method: 'POST',
    path: new RegExp(`${base}\\/GetScanHistoryBySessionId$`, 'i'),
    answer: (call, world) =>
      enter(call, world, 'by-session', world.faults.scanHistoryStatus, () =>
        bySession(call, world),
      ),
  },
  {
    method: 'POST',
    path: new RegExp(`${base}\\/GetScanHistoryByScanDefinitionId$`, 'i'),
    answer: (call, world) =>
      enter(call, world, 'by-definition', world.faults.scanHistoryStatus, () =>
        byDefinition(call, world),
      ),
  },
]

async function enter(
  call: Call,
  world: World,
  route: DefenderScanRoute,
  forced: ForcedAnswer | null,
  inside: () => Promise<Reply>,
): Promise<Reply> {
  world.scans.calls[route]++
  const limits = [
    { calls: 100, seconds: 60 },
    { calls: 1500, seconds: 3600 },
  ]
  const refusal = authorize(call, world, {
    quota: 'DeviceAuthenticatedScans',
    limits,
    roles: ['Machine.Read.All'],
    forced,
  })
  if (refusal) return refusal
  const { slowScanSeconds } = world.faults
  if (slowScanSeconds > 0) await world.clock.sleep(slowScanSeconds * 1000, call.signal)
  return encoded(await inside(), world.faults.scanEncoding)
}

async function bySession(call: Call, world: World): Promise<Reply> {
  const ids = await idsOf(call, 'SessionIds')
  if (!ids) return badRequest('The field SessionIds is invalid.', 'InvalidRequestBody')
  if (call.url.searchParams.size > 0)
    return badRequest('No query option is supported here.', 'ODataError')
  const sessions = ids.flatMap((id) => world.scans.sessions.get(id) ?? [])
  return historyReply('GetScanHistoryBySessionId', sessions, 'session-sample', world)
}

async function byDefinition(call: Call, world: World): Promise<Reply> {
  const ids = await idsOf(call, 'ScanDefinitionIds')
  if (!ids) return badRequest('The field ScanDefinitionIds is invalid.', 'InvalidRequestBody')
  const page = readPage(call.url.searchParams, { usual: MAX_SESSIONS, most: MAX_SESSIONS })
  if ('status' in page) return page
  const { top, skip } = page
  const sessions = world.scans.sessions
    .all()
    .filter(({ definitionId }) => ids.includes(definitionId))
  const newestFirst = sessions.sort((a, b) => b.lastScanned.localeCompare(a.lastScanned))
  return historyReply(
    'GetScanHistoryByScanDefinitionId',
    newestFirst.slice(skip, skip + top),
    'definition-sample',
    world,
  )
}

/** The list of ids in the body, under its name as documented; undefined where there is none. */
async function idsOf(call: Call, name: string): Promise<string[] | undefined> {
  if (!/^application\/json\b/i.test(call.headers['content-type'] ?? '')) return undefined
  try {
    const ids: unknown = JSON.parse(await call.body())?.[name]
    return Array.isArray(ids) && ids.every((id) => typeof id === 'string') ? ids : undefined
  } catch {
    return undefined
  }
}

function historyReply(
  action: string,
  sessions: ScanSession[],
  documented: 'session-sample' | 'definition-sample',
  { faults, tokens, origin }: World,
): Reply {
  const shape = faults.scanHistoryShape === 'documented' ? documented : faults.scanHistoryShape
  const format = {
    shape,
    words: faults.scanStatusWords,
    orgId: tokens.options.tenantId,
    listed: faults.defenderScanVariant === 'one-target-listed' ? 1 : Number.POSITIVE_INFINITY,
  }
  // The samples name the call itself where other answers name the metadata.
  const context = `${origin()}/defender/api/DeviceAuthenticatedScanDefinitions/${action}`
  return { ...json(200, null), body: encodeHistory(context, sessions, format) }
}
