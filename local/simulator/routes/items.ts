import { randomUUID } from 'node:crypto'
import type { ForcedAnswer } from '../faults.ts'
import type { Item, ItemKind } from '../items/item.ts'
import { QueryRefused, readListQuery } from '../items/list-query.ts'
import { defenderError, json, type Reply } from '../reply.ts'
import { authorize, badRequest, type Route, type World } from '../route.ts'
import type { Call } from '../server.ts'

/** The faults of the two routes of a kind. */
const forcedBy = {
  machineactions: { list: 'machineActionsStatus', one: 'machineActionStatus' },
  investigations: { list: 'investigationsStatus', one: 'investigationStatus' },
} as const

/**
 * The list of one kind of item, and the item by its id.
 * https://learn.microsoft.com/en-us/defender-endpoint/api/get-machineactions-collection
 * https://learn.microsoft.com/en-us/defender-endpoint/api/get-investigation-collection
 */
export function itemRoutes(kind: ItemKind): Route[] {
  const base = `^\\/defender\\/api(\\/v1\\.0)?\\/${kind.list}`
  return [
    {
      method: 'GET',
      path: new RegExp(`${base}$`, 'i'),
      answer: (call, world) =>
        enter(call, world, kind, world.faults[forcedBy[kind.list].list]) ?? list(call, world, kind),
    },
    {
      method: 'GET',
      path: new RegExp(`${base}\\/(?<id>[^/]+)$`, 'i'),
      answer: (call, world) =>
        enter(call, world, kind, world.faults[forcedBy[kind.list].one]) ?? one(call, world, kind),
    },
  ]
}

function enter(
  call: Call,
  world: World,
  kind: ItemKind,
  forced: ForcedAnswer | null,
): Reply | undefined {
  const limits = [
    { calls: 100, seconds: 60 },
    { calls: 1500, seconds: 3600 },
  ]
  return authorize(call, world, { quota: kind.list, limits, roles: kind.roles, forced })
}

/** How many milliseconds the replica that answers this call is behind. */
function lagMs({ faults: { staleReplica }, items }: World, { list }: ItemKind): number {
  const isBehind = staleReplica !== null && items[list].countCall() % staleReplica.everyCalls === 0
  return isBehind ? staleReplica.lagSeconds * 1000 : 0
}

async function list({ url }: Call, world: World, kind: ItemKind): Promise<Reply> {
  const { faults } = world
  const store = world.items[kind.list]
  let query: ReturnType<typeof readListQuery>
  try {
    query = readListQuery(url.searchParams, kind, faults)
  } catch (error) {
    if (error instanceof QueryRefused) return badRequest(error.message, 'ODataError')
    throw error
  }
  const agoMs = lagMs(world, kind) + faults.cachedListSeconds * 1000
  const listed = store
    .rows(agoMs, faults.lateSeconds)
    .filter((row) => faults.ignoredFilter || query.passes(row))
    .filter((row) => !isHidden(row, world, kind))
  const all = query.sort(listed).slice(query.skip > 0 ? faults.leavingRows : 0)
  const size = Math.min(query.top ?? faults.defaultPageRows, faults.mostPageRows)
  const rows = all.slice(query.skip, query.skip + size)
  const next = query.skip + rows.length
  const isLinked = faults.itemPaging === 'nextLink' && rows.length > 0 && next < all.length
  await store.sendPage({ number: Math.floor(query.skip / Math.max(1, size)) + 1, rows })
  return json(200, {
    '@odata.context': contextOf(world, kind),
    '@odata.count': query.isCounted ? all.length : undefined,
    value: rows.map((row) => encoded(row, world)),
    '@odata.nextLink': isLinked ? linkTo(next, size, url, world) : undefined,
  })
}

function one({ caught: { id = '' } }: Call, world: World, kind: ItemKind): Reply {
  const store = world.items[kind.list]
  const found =
    store.find(id, lagMs(world, kind)) ?? store.find(id.toLowerCase(), lagMs(world, kind))
  const item = found && !isHidden(found, world, kind) ? found : undefined
  const isMissed = item !== undefined && world.faults.missedItems > 0
  if (isMissed) world.faults.missedItems--
  if (!item || isMissed)
    return defenderError(404, 'ResourceNotFound', `Resource ${id} was not found.`, randomUUID())
  return json(200, {
    '@odata.context': `${contextOf(world, kind)}/$entity`,
    ...encoded(item, world),
  })
}

const contextOf = (world: World, { entitySet }: ItemKind) =>
  `${world.origin()}/defender/api/$metadata#${entitySet}`

/** Open items that the service does not know any more. */
const isHidden = (item: Item, { faults }: World, { stateField }: ItemKind) =>
  faults.unknownOpenItems && openStates.has(String(item[stateField]))

const openStates = new Set(
  ['Pending', 'InProgress', 'Unknown', 'Running'].concat(
    'PendingApproval',
    'PendingResource',
    'Queued',
  ),
)

function linkTo(skip: number, size: number, url: URL, world: World): string {
  if (world.faults.namelessLinks) {
    const values = [...url.searchParams].filter(([name]) => name !== '$skip')
    const nameless = values.map(([, value]) => `=${encodeURIComponent(value)}`).join('&')
    return `${world.origin()}${url.pathname}?${nameless}&$skip=${size}`
  }
  const options = [...url.searchParams].filter(([name]) => name !== '$skip')
  const query = [...options, ['$skip', String(skip)] as const].map(
    ([name, value]) => `${name}=${encodeURIComponent(value)}`,
  )
  return `${world.origin()}${url.pathname}?${query.join('&')}`
}

function encoded(item: Item, { faults }: World): Item {
  const { creationDateTimeUtc, lastUpdateDateTimeUtc, status } = item
  const row: Item = { ...item, id: faults.capitalIds ? item.id.toUpperCase() : item.id }
  if (faults.creationWords)
    Object.assign(
      row,
      creationDateTimeUtc ? { creationDateTimeUtc: 'yesterday' } : { startTime: 'yesterday' },
    )
  if (faults.longComments && 'requestorComment' in row) row.requestorComment = 'why '.repeat(5000)
  if (faults.liveResponses && 'commands' in row) Object.assign(row, liveResponse)
  const hasEnded = typeof status === 'string' && !openStates.has(status)
  if (hasEnded && faults.earlyEndSeconds > 0) {
    const ms = Date.parse(String(lastUpdateDateTimeUtc)) - faults.earlyEndSeconds * 1000
    row.lastUpdateDateTimeUtc = new Date(ms).toISOString()
  }
  if (faults.updateTimeName === 'lastUpdateDateTimeUtc') return row
  const { lastUpdateDateTimeUtc: updated, ...rest } = row
  return updated === undefined ? row : { ...rest, id: row.id, [faults.updateTimeName]: updated }
}

/** Two commands: the second has failed. */
const liveResponse = {
  type: 'LiveResponse',
  commands: ['Completed', 'Failed'].map((commandStatus, index) => ({
    index,
    startTime: null,
    endTime: null,
    commandStatus,
    errors: commandStatus === 'Failed' ? ['The script ended with code 1.'] : [],
    command: {
      type: 'RunScript',
      params: [
        { key: 'ScriptName', value: 'reset.ps1' },
        { key: 'Args', value: '-Password canary-password' },
      ],
    },
  })),
}
