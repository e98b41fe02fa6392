import { z } from 'zod'
import { bounds } from '../platform/body.ts'
import { type Budget, recordThrottle } from '../platform/budget.ts'
import { ShapeError, UpstreamError } from '../platform/errors.ts'
import type { Http } from '../platform/http.ts'
import { redactJson } from '../platform/redact.ts'
import { TENABLE_PERMISSION } from './limits-and-roles.ts'

/** Tenable adjusts its limits without notice. https://developer.tenable.com/docs/rate-limiting */
export const tenableLimits = { scans: null } as const

export interface TenableOptions {
  http: Http
  baseUrl: URL
  keys: { accessKey: string; secretKey: string }
  budget: Pick<Budget<keyof typeof tenableLimits>, 'acquire' | 'stop'>
}

export type Tenable = ReturnType<typeof createTenable>

const anyRecord = z.record(z.string(), z.unknown())
const History = z.object({
  history: z.array(anyRecord).nullable(),
  pagination: z.object({ total: z.number().nullish() }).nullish(),
})
const LatestStatus = z.object({ status: z.string().nullable() })

/**
 * Makes the client of one Tenable container. `scan` is any identifier of a scan. Answers have no secrets; they are
 * undefined when Tenable says that there is no such scan (or run: the text is the same). The methods throw
 * UpstreamError (403 with `missing`, 429 with `retryAfterMs`, also by our own budget) and ShapeError.
 * https://developer.tenable.com/docs/authorization
 */
export function createTenable({ http, baseUrl, keys, budget }: TenableOptions) {
  const base = baseUrl.href.replace(/\/+$/, '')
  const { accessKey, secretKey } = keys

  async function read<T>(path: string, query: Record<string, string>, schema: z.ZodType<T>) {
    const url = new URL(`${base}${path}`)
    url.search = new URLSearchParams(query).toString()
    const name = `GET ${url.pathname}`
    try {
      const { body } = await http.json({
        method: 'GET',
        url,
        name,
        headers: {
          'x-apikeys': `accessKey=${accessKey}; secretKey=${secretKey}`,
          accept: 'application/json',
        },
        ...bounds.scans,
        isAllowed: ({ origin }) => origin === baseUrl.origin,
        admit: () => budget.acquire('scans', { priority: 'interactive' }),
        onFailure: (error) => recordThrottle(budget, 'scans', error),
      })
      const answer = schema.safeParse(redactJson(body, [accessKey, secretKey]))
      if (!answer.success) throw new ShapeError('tenable', name, 'an answer of another shape')
      return answer.data
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error
      throw explained(error)
    }
  }

  /** Reads a part of one scan; undefined with a 404. Each scan has its own permissions: a refusal says nothing about the others. */
  async function readScan<T>(
    scan: string,
    rest: string,
    query: Record<string, string>,
    schema: z.ZodType<T>,
  ): Promise<T | undefined> {
    try {
      return await read(`/scans/${encodeURIComponent(scan)}${rest}`, query, schema)
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error
      const { status } = error.facts
      if (status === 404) return undefined
      if (status !== 403 && !(status === 500 && rest === '')) throw error
      const itemOnly = status === 403
      const usual = itemOnly ? 'Give the app what `detail` names as missing.' : 'Try again later.'
      const fix = rest === '' ? `${WEB_APP} ${usual}` : usual
      throw new UpstreamError({ ...error.facts, itemOnly, fix })
    }
  }

  return {
    /** `run` by number or UUID; default the latest. https://developer.tenable.com/reference/scans-details */
    details: (scan: string, run?: string) =>
      readScan(scan, '', run === undefined ? {} : { history_id: run }, anyRecord),
    /**
     * The runs of a scan, newest first, and their number if the answer names it.
     * https://developer.tenable.com/reference/scans-history
     */
    async history(scan: string, { limit, offset }: { limit: number; offset: number }) {
      const order = { sort: 'start_date:desc', exclude_rollover: 'false' }
      const query = { limit: String(limit), offset: String(offset), ...order }
      const page = await readScan(scan, '/history', query, History)
      return page && { rows: page.history ?? [], total: page.pagination?.total ?? null }
    },
    /** The word for the status, empty if there is none. https://developer.tenable.com/reference/vm-scans-latest-status-get */
    async latestStatus(scan: string) {
      const answer = await readScan(scan, '/latest-status', {}, LatestStatus)
      return answer && (answer.status ?? '')
    },
    /**
     * Lists the scans that have run since: the cheapest call that shows whether the keys are valid. A list is always there:
     * 404 means that the route is gone. https://developer.tenable.com/reference/scans-list
     */
    probe(since: Date) {
      const seconds = Math.floor(since.getTime() / 1000)
      return read('/scans', { last_modification_date: String(seconds) }, anyRecord)
    },
  }
}

const WEB_APP =
  'If it scans a web application: its results are not in this API, look in Tenable itself. Otherwise:'

/** Adds to a 401 or 403 what the app lacks. */
function explained(error: UpstreamError): UpstreamError {
  const missing = lacks[error.facts.status ?? 0]
  return missing ? new UpstreamError({ ...error.facts, missing: [missing] }) : error
}

const lacks: Record<number, string> = {
  401: 'valid keys in TENABLE_ACCESS_KEY and TENABLE_SECRET_KEY',
  403: TENABLE_PERMISSION,
}
