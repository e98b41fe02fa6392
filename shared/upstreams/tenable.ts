import { z } from 'zod'
import type { Budget } from '../platform/budget.ts'
import { recordThrottle } from '../platform/budget.ts'
import { ShapeError, UpstreamError } from '../platform/errors.ts'
import type { Http } from '../platform/http.ts'
import { redactJson } from '../platform/redact.ts'
import { MINUTE_MS } from '../platform/time.ts'
import { TENABLE_PERMISSION } from './grants.ts'

/** Families of Tenable routes that share one limit. */
export type TenableFamily = keyof typeof tenableLimits

/** Tenable adjusts its limits without notice. https://developer.tenable.com/docs/rate-limiting */
export const tenableLimits = { scans: null } as const

export interface TenableOptions {
  http: Http
  baseUrl: URL
  keys: { accessKey: string; secretKey: string }
  budget: Pick<Budget<TenableFamily>, 'acquire' | 'stop'>
}

/** A page of a scan's runs, newest first. */
export interface TenableHistoryPage {
  rows: Record<string, unknown>[]
  /** How many there are in all, where the answer tells. */
  total: number | null
}

/**
 * The Tenable routes that the app uses; `scan` is any of its identifiers. Answers come without secrets, undefined where
 * Tenable says that there is no such scan (or run: its text can't tell them apart). They throw UpstreamError (403 with
 * `missing`, 429 with `retryAfterMs`, also of our own budget) and ShapeError.
 */
export interface Tenable {
  /** `run` by number or UUID; the latest without it. https://developer.tenable.com/reference/scans-details */
  details(scan: string, run?: string): Promise<Record<string, unknown> | undefined>
  /** https://developer.tenable.com/reference/scans-history */
  history(
    scan: string,
    page: { limit: number; offset: number },
  ): Promise<TenableHistoryPage | undefined>
  /** The status word. https://developer.tenable.com/reference/vm-scans-latest-status-get */
  latestStatus(scan: string): Promise<string | undefined>
  /**
   * Asks for the scans that have run since, the cheapest call that shows whether the keys are good; false where there is
   * no such route. https://developer.tenable.com/reference/scans-list
   */
  probe(since: Date): Promise<boolean>
}

const anyRecord = z.record(z.string(), z.unknown())
const History = z.object({
  history: z.array(anyRecord),
  pagination: z.object({ total: z.number().nullish() }).nullish(),
})
const LatestStatus = z.object({ status: z.string() })

/** Details of thousands of hosts take the service a while. */
const TIMEOUT_MS = MINUTE_MS

/** Makes the client of one Tenable container. https://developer.tenable.com/docs/authorization */
export function createTenable({ http, baseUrl, keys, budget }: TenableOptions): Tenable {
  const base = baseUrl.href.replace(/\/+$/, '')
  const secrets = [keys.accessKey, keys.secretKey]

  async function ask<T>(
    path: string,
    query: Record<string, string>,
    schema: z.ZodType<T>,
  ): Promise<T | undefined> {
    const url = new URL(`${base}${path}`)
    url.search = new URLSearchParams(query).toString()
    const name = `GET ${url.pathname}`
    try {
      const { body } = await http.json({
        method: 'GET',
        url,
        name,
        headers: {
          'x-apikeys': `accessKey=${keys.accessKey}; secretKey=${keys.secretKey}`,
          accept: 'application/json',
        },
        timeoutMs: TIMEOUT_MS,
        isAllowed: ({ origin }) => origin === baseUrl.origin,
        admit: () => budget.acquire('scans', { priority: 'interactive' }),
        onFailure: (error) => recordThrottle(budget, 'scans', error),
      })
      const read = schema.safeParse(redactJson(body, secrets))
      if (!read.success) throw new ShapeError('tenable', name, 'an answer of another shape')
      return read.data
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error
      if (error.facts.status === 404) return undefined
      throw explained(error)
    }
  }

  /** Asks about one scan: a permission is given on each, so that a refusal says nothing of the others. */
  async function askAbout<T>(
    scan: string,
    rest: string,
    query: Record<string, string>,
    schema: z.ZodType<T>,
  ) {
    try {
      return await ask(`/scans/${encodeURIComponent(scan)}${rest}`, query, schema)
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error
      const { status, said = '' } = error.facts
      if (status === 403 || (status === 500 && rest === ''))
        throw new UpstreamError({
          ...error.facts,
          itemOnly: true,
          ...(rest === '' && { said: `${said} (${WEB_APP})` }),
        })
      throw error
    }
  }

  return {
    details: (scan, run) =>
      askAbout(scan, '', run === undefined ? {} : { history_id: run }, anyRecord),
    async history(scan, { limit, offset }) {
      const query = {
        limit: String(limit),
        offset: String(offset),
        sort: 'start_date:desc',
        exclude_rollover: 'false',
      }
      const page = await askAbout(scan, '/history', query, History)
      return page && { rows: page.history, total: page.pagination?.total ?? null }
    },
    async latestStatus(scan) {
      return (await askAbout(scan, '/latest-status', {}, LatestStatus))?.status
    },
    async probe(since) {
      const seconds = Math.floor(since.getTime() / 1000)
      return (
        (await ask('/scans', { last_modification_date: String(seconds) }, anyRecord)) !== undefined
      )
    },
  }
}

const WEB_APP = 'scans of web applications are answered so too: their results are not in this API'

/** With 401 and 403: what the app lacks. */
function explained(error: UpstreamError): UpstreamError {
  if (error.facts.status === 401)
    return new UpstreamError({ ...error.facts, missing: [VALID_KEYS] })
  return error.facts.status === 403
    ? new UpstreamError({ ...error.facts, missing: [TENABLE_PERMISSION] })
    : error
}

const VALID_KEYS = 'valid keys in TENABLE_ACCESS_KEY and TENABLE_SECRET_KEY'
