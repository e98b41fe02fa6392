import { badRequest, refuse } from '../defender-door.ts'
import { json } from '../reply.ts'
import type { Route } from '../route.ts'

const defaultTop = 20
const largestTop = 10_000

/**
 * The JSON method: antivirus health page by page.
 * https://learn.microsoft.com/en-us/defender-endpoint/api/device-health-export-antivirus-health-report-api
 */
export const deviceAvInfo: Route = {
  method: 'GET',
  path: /^\/defender\/api(\/v1\.0)?\/deviceavinfo$/i,
  answer(call, world) {
    const refusal = refuse(call, world, {
      quota: 'deviceavinfo',
      limits: [
        { calls: 30, seconds: 60 },
        { calls: 1000, seconds: 3600 },
      ],
      roles: ['Machine.Read.All', 'Machine.ReadWrite.All'],
      forced: world.faults.jsonStatus,
    })
    if (refusal) return refusal

    const query = call.url.searchParams
    const unknown = [...query.keys()].find((name) => name !== '$top' && name !== '$skip')
    if (unknown !== undefined)
      return badRequest(`The query option ${unknown} is not supported here.`, 'ODataError')
    const top = wholeNumber(query.get('$top') ?? String(defaultTop))
    const skip = wholeNumber(query.get('$skip') ?? '0')
    if (top === undefined || skip === undefined)
      return badRequest('$top and $skip must be whole numbers.', 'ODataError')
    if (top > largestTop)
      return badRequest(`The limit of ${largestTop} for $top has been exceeded.`, 'ODataError')

    const { fleet } = world.shelf.current()
    const count = world.faults.rowsOnce ? fleet.options.size : fleet.jsonRowCount
    const value: unknown[] = []
    const wanted = Math.min(top, count - skip)
    if (wanted > 0) {
      for (const row of fleet.jsonRows(skip)) {
        value.push(row)
        if (value.length === wanted) break
      }
    }
    const next = skip + top
    const base = `${world.origin()}${call.url.pathname}`
    return json(200, {
      '@odata.context': `${world.origin()}/defender/api/$metadata#DeviceAvInfo`,
      value,
      ...(next < count &&
        !world.faults.missingNextLink && {
          '@odata.nextLink': `${base}?$top=${top}&$skip=${next}`,
        }),
    })
  },
}

const wholeNumber = (text: string) => (/^\d{1,9}$/.test(text) ? Number(text) : undefined)
