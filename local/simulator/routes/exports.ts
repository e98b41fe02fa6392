import { createFleet } from '../fleet.ts'
import { hourMs, minuteMs, momentAt, utcText } from '../moment.ts'
import { guid } from '../random.ts'
import { json } from '../reply.ts'
import { authorize, badRequest, type Route, readPage, type World } from '../route.ts'
import { spoilRow } from '../spoil.ts'

/**
 * The export via files: a list of links to one snapshot.
 * https://learn.microsoft.com/en-us/defender-endpoint/api/get-assessment-information-gathering
 */
export const informationGatheringExport: Route = {
  method: 'GET',
  path: /^\/defender\/api(\/v1\.0)?\/machines\/InfoGatheringExport$/i,
  answer(call, world) {
    const refusal = authorize(call, world, {
      quota: 'InfoGatheringExport',
      limits: [
        { calls: 5, seconds: 60 },
        { calls: 20, seconds: 3600 },
      ],
      roles: ['Vulnerability.Read.All', 'Machine.ReadWrite.All'],
      forced: world.faults.exportStatus,
    })
    if (refusal) return refusal

    // Without the parameter links are valid for three hours, as observed.
    const asked = call.url.searchParams.get('sasValidHours') ?? '3'
    const validHours = /^\d{1,4}$/.test(asked) ? Number(asked) : Number.NaN
    if (!(validHours >= 1 && validHours <= 6)) {
      return badRequest('sasValidHours must be a whole number between 1 and 6.', 'InvalidInput')
    }

    if (world.faults.changeGeneratedTime) nextSnapshot(world)
    const snapshot = world.exports.current()
    return json(200, {
      '@odata.context': `${world.origin()}/defender/api/$metadata#microsoft.windowsDefenderATP.api.ExportFilesResponse`,
      exportFiles: world.faults.emptyList ? [] : listLinks(world, validHours),
      generatedTime: world.faults.nullGeneratedTime ? null : snapshot.fleet.options.generatedTime,
    })
  },
}

/** Six hours after the one before; earlier where that would be in the future, though always newer than the one before. */
function nextSnapshot(world: World): void {
  const { options } = world.exports.current().fleet
  const beforeMs = Date.parse(options.generatedTime)
  const latestMs = Math.max(beforeMs + minuteMs, world.clock.now().getTime())
  const nextMs = Math.min(beforeMs + 6 * hourMs, Math.floor(latestMs / minuteMs) * minuteMs)
  const generatedTime = utcText(momentAt(nextMs))
  world.faults.changeGeneratedTime = false
  world.exports.put(createFleet({ ...options, generatedTime }))
}

function listLinks(world: World, validHours: number): string[] {
  const { faults, links } = world
  const snapshot = world.exports.current()
  const nowMs = world.clock.now().getTime()
  snapshot.firstListedAtMs ??= nowMs
  snapshot.listings++
  // The service copies again for each listing, so one snapshot appears in several containers.
  const container = `temp-${guid(snapshot.fleet.options.seed, snapshot.listings, 31)}`
  const firstShortLived =
    snapshot.listings === 1
      ? snapshot.files.length - faults.shortLivedLinks
      : Number.POSITIVE_INFINITY
  return snapshot.files.map(({ path, index }) => {
    // Alternately expired when listed, and a second later.
    const short =
      index >= firstShortLived ? nowMs + ((index - firstShortLived) % 2) * 2000 - 1000 : undefined
    const whole = nowMs + validHours * hourMs
    const startsAtMs = short === undefined ? nowMs : nowMs - hourMs
    const times = faults.userDelegation
      ? { startsAtMs, endsAtMs: whole, keyEndsAtMs: short ?? whole }
      : { startsAtMs, endsAtMs: short ?? whole }
    return `${faults.linkOrigin ?? world.origin()}/blob/${container}/${path}?${links.sign(`${container}/${path}`, times)}`
  })
}

/**
 * The JSON method: antivirus health page by page.
 * https://learn.microsoft.com/en-us/defender-endpoint/api/device-health-export-antivirus-health-report-api
 */
export const deviceAvInfo: Route = {
  method: 'GET',
  path: /^\/defender\/api(\/v1\.0)?\/deviceavinfo$/i,
  answer(call, world) {
    const refusal = authorize(call, world, {
      quota: 'deviceavinfo',
      limits: [
        { calls: 30, seconds: 60 },
        { calls: 1000, seconds: 3600 },
      ],
      roles: ['Machine.Read.All', 'Machine.ReadWrite.All'],
      forced: world.faults.jsonStatus,
    })
    if (refusal) return refusal

    const page = readPage(call.url.searchParams, { usual: 20, most: 10_000 })
    if ('status' in page) return page
    const { top, skip } = page
    const { fleet } = world.exports.current()
    const count = world.faults.rowsOnce ? fleet.options.size : fleet.jsonRowCount
    const value: unknown[] = []
    const wanted = Math.min(top, count - skip)
    if (wanted > 0) {
      for (const row of fleet.jsonRows(skip)) {
        const { spoiledRows } = world.faults
        const isSpoiled = spoiledRows && (skip + value.length) % spoiledRows.every === 0
        value.push(isSpoiled ? spoilRow(row, spoiledRows.how) : row)
        if (value.length === wanted) break
      }
    }
    const next = skip + top
    const base = `${world.origin()}${call.url.pathname}`
    const isLinked = next < count && !world.faults.missingNextLink
    return json(200, {
      '@odata.context': `${world.origin()}/defender/api/$metadata#DeviceAvInfo`,
      value,
      '@odata.nextLink': isLinked ? `${base}?$top=${top}&$skip=${next}` : undefined,
    })
  },
}
