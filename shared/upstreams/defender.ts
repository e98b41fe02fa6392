import { z } from 'zod'
import { type Bounds, bounds } from '../platform/body.ts'
import { type Budget, recordThrottle } from '../platform/budget.ts'
import type { Priority } from '../platform/budget-window.ts'
import type { GetToken } from '../platform/credential.ts'
import { ShapeError, UpstreamError, unlessMissing } from '../platform/errors.ts'
import type { Http } from '../platform/http.ts'
import { MINUTE_MS } from '../platform/time.ts'
import {
  type DefenderFamily,
  defenderFamilies,
  explained,
  type ItemFamily,
} from './limits-and-roles.ts'

export interface DefenderOptions {
  http: Http
  token: GetToken
  budget: Budget<string>
  baseUrl: URL
}

interface DefenderRequest extends Bounds {
  method?: 'GET' | 'POST'
  url: URL
  family: DefenderFamily
  /** Sent as JSON. */
  body?: unknown
  repeatable?: boolean
  /** How long to wait for a token of the budget. Default 0. */
  waitUpToMs?: number
  /** Default `background`. */
  priority?: Priority
}

export type Defender = ReturnType<typeof createDefender>

const ExportFiles = z.object({
  exportFiles: z.array(z.string()),
  generatedTime: z.string().nullish(),
})

/** As long as the budget's minute lasts. */
const PAGE_WAIT_MS = MINUTE_MS
/** A poll runs every minute: it is better to skip one than to wait long. */
const ITEM_WAIT_MS = 20_000

/**
 * Makes the client of one Defender tenant. Its methods throw UpstreamError (403 with `missing` and `claims`, 404 or
 * 410 for a route that is gone, 429 with `retryAfterMs`, also by our own budget) and ShapeError.
 */
export function createDefender(options: DefenderOptions) {
  const { at, call } = createDefenderCall(options)
  return {
    /**
     * The items that an OData filter selects.
     * https://learn.microsoft.com/defender-endpoint/api/get-machineactions-collection
     * https://learn.microsoft.com/defender-endpoint/api/get-investigation-collection
     */
    items(family: ItemFamily, filter: string, priority?: Priority) {
      const url = at(family.path)
      // The dollar is not encoded, as in every example of the service.
      url.search = `$filter=${encodeURIComponent(filter)}`
      const request = { url, family, priority, waitUpToMs: ITEM_WAIT_MS }
      return odataPages(call, { ...request, ...bounds.defenderList }, itemKey)
    },
    /** One item; undefined when no item has this id. What is nested too deeply in it is null. */
    async item(family: ItemFamily, id: string, priority?: Priority): Promise<unknown> {
      const url = at(`${family.path}/${encodeURIComponent(id)}`)
      const request = { url, family, priority, waitUpToMs: ITEM_WAIT_MS }
      return (await unlessMissing(call({ ...request, ...bounds.defenderItem })))?.body
    },
    /**
     * The files of the present antivirus-health export: links, which are secrets and are validated before use, and when
     * the export was made, as the service wrote it.
     * https://learn.microsoft.com/defender-endpoint/api/device-health-export-antivirus-health-report-api
     */
    async listExportFiles(sasValidHours: number) {
      const url = at('/api/machines/InfoGatheringExport')
      url.searchParams.set('sasValidHours', String(sasValidHours))
      const list = ExportFiles.safeParse(
        (await call({ url, family: defenderFamilies.export, ...bounds.exportList })).body,
      )
      if (!list.success)
        throw new ShapeError('defender', `GET ${url.pathname}`, 'an answer without `exportFiles`')
      return { files: list.data.exportFiles, generatedTime: list.data.generatedTime ?? null }
    },
    /** https://learn.microsoft.com/defender-endpoint/api/device-health-export-antivirus-health-report-api */
    deviceAvInfoPages: () =>
      odataPages(call, {
        url: at('/api/deviceavinfo'),
        family: defenderFamilies.avInfo,
        waitUpToMs: PAGE_WAIT_MS,
        ...bounds.deviceAvInfo,
      }),
  }
}

/**
 * Makes the probe of one Defender tenant: it makes the cheapest call of a family, and throws what the route throws.
 * https://learn.microsoft.com/defender-endpoint/api/exposed-apis-list
 */
export function createDefenderProbe(options: DefenderOptions) {
  const { at, call } = createDefenderCall(options)
  return async (family: DefenderFamily): Promise<void> => {
    await call({ url: at(family.probePath), family, priority: 'interactive', ...bounds.probe })
  }
}

/** Resolves with the parsed JSON. */
type DefenderCall = (request: DefenderRequest) => ReturnType<Http['json']>

/**
 * Makes `at`, for URLs, and `call`: with a bearer token (a new one once after 401 or 403), a token of the
 * budget for every try, a stop of the family after 429, and the missing roles in the error of a 403.
 * https://learn.microsoft.com/defender-endpoint/api/common-errors
 */
export function createDefenderCall({ http, token, budget, baseUrl }: DefenderOptions) {
  /** `baseUrl` may have a path too. */
  const at = (path: string) => new URL(`${baseUrl.href.replace(/\/+$/, '')}${path}`)
  const call: DefenderCall = async ({
    url,
    family,
    body,
    priority,
    repeatable,
    method = 'GET',
    waitUpToMs = 0,
    ...limits
  }) => {
    let bearer = await token()
    const name = `${method} ${url.pathname}`
    const type = body === undefined ? undefined : { 'content-type': 'application/json' }
    try {
      return await http.json({
        method,
        url,
        name,
        headers: { authorization: `Bearer ${bearer}`, accept: 'application/json', ...type },
        body: body === undefined ? undefined : JSON.stringify(body),
        repeatable,
        ...limits,
        isAllowed: ({ origin }) => origin === baseUrl.origin,
        admit: () => budget.acquire(family.name, { waitUpToMs, priority }),
        onFailure: (error) => recordThrottle(budget, family.name, error),
        async renewCredentials() {
          bearer = await token({ fresh: true })
          return { authorization: `Bearer ${bearer}` }
        },
      })
    } catch (error) {
      const isDefenders = error instanceof UpstreamError && error.facts.call === name
      throw isDefenders ? explained(error, bearer, family.roles) : error
    }
  }
  return { at, call }
}

/** An item's id: its other fields may change between two pages. */
const itemKey = (row: unknown): string =>
  String((row as { id?: unknown } | null)?.id ?? JSON.stringify(row))

const Page = z.object({ value: z.array(z.unknown()), '@odata.nextLink': z.string().nullish() })

/** The most rows that Defender gives in one page. */
const PAGE_ROWS = 10_000

/**
 * Reads a list page by page. The list may move in between: each page begins with the last row of the one before, and is
 * asked for again from further back when it does not. A link to the next page is followed where it holds a position of
 * the service's own; else `$skip` continues. Throws ShapeError for an answer that is no list, and for a list that does
 * not end. https://learn.microsoft.com/defender-endpoint/api/exposed-apis-odata-samples
 */
async function* odataPages(
  call: DefenderCall,
  request: DefenderRequest,
  keyOf: (row: unknown) => string = (row) => JSON.stringify(row),
): AsyncGenerator<{ rows: unknown[]; date: Date | undefined }> {
  const { url: start, maxRows = Infinity, maxListLength = Infinity, maxPages = Infinity } = request
  const broken = (what: string) => new ShapeError('defender', `GET ${start.pathname}`, what)
  const followed = new Set([pageAt(start, 0).href])
  let before: string[] = []
  /** How many rows were read, and how many of them the next page repeats. */
  let end = 0
  let overlap = 0
  let length = 0
  let next = pageAt(start, 0)
  for (let pages = 0; pages < maxPages; ) {
    const { body, date, length: pageLength } = await call({ ...request, url: next })
    length += pageLength
    if (length > maxListLength) throw broken(`a list of more than ${maxListLength} characters`)
    const page = Page.safeParse(body)
    if (!page.success) throw broken('an answer without a list in `value`')
    const rows = page.data.value
    const keys = rows.map(keyOf)
    const known = new Set(before)
    if (overlap > 0 && !known.has(keys[0] ?? '')) {
      if (overlap === before.length) throw broken('a list that moves faster than it can be read')
      overlap = Math.min(overlap * 10, before.length)
      next = pageAt(start, end - overlap)
      continue
    }
    pages += 1
    end += rows.length - overlap
    if (end > maxRows) throw broken(`a list of more than ${maxRows} rows`)
    yield { rows: rows.filter((_, index) => !known.has(keys[index] ?? '')), date }
    const link = page.data['@odata.nextLink']
    const own = link ? linkOf(link, start) : undefined
    if (link ? !own && rows.length <= Math.min(overlap, 1) : rows.length < PAGE_ROWS) return
    // A service that ignores `$skip` sends the same rows again and again.
    const isSame = keys[0] === before[0] && keys.at(-1) === before.at(-1)
    if (rows.length > 0 && isSame && overlap < before.length) throw broken('a page that came twice')
    if (own && followed.size === followed.add(own.href).size)
      throw broken('a list whose links go in circles')
    overlap = own ? 0 : Math.min(1, rows.length - 1)
    next = own ?? pageAt(start, end - overlap)
    before = keys
  }
  throw broken(`a list of more than ${maxPages} pages`)
}

/**
 * The link to the next page at our own host: any other host would get our token. Undefined for a link that is no longer
 * about our question, or that only counts rows as we do.
 */
function linkOf(link: string, start: URL): URL | undefined {
  const target = URL.parse(link, start.href)
  if (!target) return undefined
  const { pathname, search, searchParams: query } = target
  const isOurs = query.get('$filter') === start.searchParams.get('$filter')
  if (!isOurs || query.has('$skip') || query.has('')) return undefined
  return new URL(`${pathname}${search}`, start)
}

/** `$skip` is always a plain integer: the service does not read `1e+5`. The dollar is not encoded. */
function pageAt(url: URL, skip: number): URL {
  const page = new URL(url)
  const options = [url.search.slice(1), `$top=${PAGE_ROWS}`, skip > 0 && `$skip=${skip.toFixed(0)}`]
  page.search = options.filter(Boolean).join('&')
  return page
}
