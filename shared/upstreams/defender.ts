import { z } from 'zod'
import { type Budget, recordThrottle } from '../platform/budget.ts'
import type { Priority } from '../platform/budget-window.ts'
import { type GetToken, readClaims } from '../platform/credential.ts'
import { ShapeError, UpstreamError, unlessMissing } from '../platform/errors.ts'
import type { Answer, Http } from '../platform/http.ts'
import { MINUTE_MS } from '../platform/time.ts'
import {
  type DefenderFamily,
  defenderFamilies,
  heldBy,
  type ItemFamily,
  isDelegated,
  lackedGrants,
  USER_RIGHT,
} from './limits-and-roles.ts'

export interface DefenderOptions {
  http: Http
  token: GetToken
  budget: Budget<string>
  baseUrl: URL
}

interface DefenderRequest {
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
  /** Default 100 s: a list of 10,000 rows takes some time. */
  timeoutMs?: number
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
      return odataPages(call, { url, family, priority, waitUpToMs: ITEM_WAIT_MS })
    },
    /** One item; undefined when no item has this id. */
    async item(family: ItemFamily, id: string, priority?: Priority): Promise<unknown> {
      const url = at(`${family.path}/${encodeURIComponent(id)}`)
      const answer = call({ url, family, priority, waitUpToMs: ITEM_WAIT_MS })
      return (await unlessMissing(answer))?.body
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
        (await call({ url, family: defenderFamilies.export })).body,
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
    await call({ url: at(family.probePath), family, priority: 'interactive', timeoutMs: 20_000 })
  }
}

/** Resolves with the parsed JSON. */
type DefenderCall = (request: DefenderRequest) => Promise<Answer & { body: unknown }>

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
    timeoutMs = 100_000,
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
        timeoutMs,
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

/** Codes of a 403 that no role would change. */
const otherRefusals = new Set(['DisabledFeature', 'DisallowedOperation'])

/** Adds to a 401 or 403 the claims of our token, and what to grant when it has none of the roles. */
function explained(error: UpstreamError, bearer: string, roles: readonly string[]): UpstreamError {
  const { status, code = '' } = error.facts
  if (status !== 401 && status !== 403) return error
  const token = readClaims(bearer)
  const held = heldBy(token)
  const lacked = lackedGrants(token, roles)
  const missing =
    lacked.length > 0 ? lacked : isDelegated(token) ? [USER_RIGHT] : namedRoles(error, held)
  const isMissing = status === 403 && !otherRefusals.has(code) && missing.length > 0
  const claims = { aud: token.aud, roles: held }
  return new UpstreamError({ ...error.facts, missing: isMissing ? missing : undefined, claims })
}

/** The pages disagree about roles: when our role is not enough, the service's own text names the others. */
const namedRoles = ({ facts: { said = '' } }: UpstreamError, held: readonly string[]): string[] =>
  (said.match(/\b[A-Z]\w+\.\w+\.All\b/g) ?? []).filter((role) => !held.includes(role))

const Page = z.object({ value: z.array(z.unknown()), '@odata.nextLink': z.string().nullish() })

/** Defender gives no more rows in one page. */
const PAGE_ROWS = 10_000
/** Ten million rows: such a list does not end. */
const MAX_PAGES = 1000

/**
 * Reads a list page by page: follows `@odata.nextLink` at the host of `request.url`, and continues with `$skip` after
 * a full page without a link. Throws ShapeError for an answer that is no list, and for a list that goes in circles.
 * https://learn.microsoft.com/defender-endpoint/api/exposed-apis-odata-samples
 */
async function* odataPages(
  call: DefenderCall,
  request: DefenderRequest,
): AsyncGenerator<{ rows: unknown[]; date: Date | undefined }> {
  const { url: start } = request
  const broken = (what: string) => new ShapeError('defender', `GET ${start.pathname}`, what)
  const seen = new Set<string>()
  const isNew = (key: string) => seen.size < seen.add(key).size
  let rowsSoFar = 0
  let next: URL | undefined = pageAt(start, 0)
  while (next) {
    const url: URL = next
    if (seen.size > 2 * MAX_PAGES) throw broken(`a list of more than ${MAX_PAGES} pages`)
    if (!isNew(url.href)) throw broken('a list whose links go in circles')
    const { body, date } = await call({ ...request, url })
    const page = Page.safeParse(body)
    if (!page.success) throw broken('an answer without a list in `value`')
    const { value: rows, '@odata.nextLink': link } = page.data
    // A service that ignores `$skip` sends the same rows again and again.
    if (rows.length > 0 && !isNew(JSON.stringify([rows[0], rows.at(-1)])))
      throw broken('a page that came twice')
    rowsSoFar += rows.length
    yield { rows, date }
    if (link) {
      const target = URL.parse(link, url.href)
      if (!target) throw broken('a link to the next page that is no URL')
      // Any other host would get our token.
      next = new URL(`${target.pathname}${target.search}`, start)
    } else next = rows.length >= PAGE_ROWS ? pageAt(start, rowsSoFar) : undefined
  }
}

/** `$skip` is always a plain integer: the service does not read `1e+5`. The dollar is not encoded. */
function pageAt(url: URL, skip: number): URL {
  const page = new URL(url)
  const options = [url.search.slice(1), `$top=${PAGE_ROWS}`, skip > 0 && `$skip=${skip.toFixed(0)}`]
  page.search = options.filter(Boolean).join('&')
  return page
}
