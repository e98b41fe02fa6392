import { z } from 'zod'
import { ShapeError, UpstreamError } from '../platform/errors.ts'
import { readLeniently } from '../platform/lenient-json.ts'
import { redactJson } from '../platform/redact-json.ts'
import { createDefenderCall, type DefenderOptions } from './defender-call.ts'
import { defenderRoles } from './grants.ts'

/** The rows of an answer and the whole of it, without secrets. */
export interface ScanRows {
  rows: Record<string, unknown>[]
  body: unknown
}

/**
 * Defender's authenticated scans. Answers come without secrets, undefined with a 404. They throw UpstreamError (403 with
 * `missing` and `claims`, 429 with `retryAfterMs`, also of our own budget) and ShapeError.
 */
export interface DefenderScans {
  /** https://learn.microsoft.com/defender-endpoint/api/get-scan-history-by-session */
  historyOfSessions(ids: readonly string[]): Promise<ScanRows | undefined>
  /** `top` and `skip` count sessions. https://learn.microsoft.com/defender-endpoint/api/get-scan-history-by-definition */
  historyOfDefinition(
    id: string,
    page: { top: number; skip: number },
  ): Promise<ScanRows | undefined>
  /** https://learn.microsoft.com/defender-endpoint/api/get-all-scan-definitions */
  definitions(): Promise<ScanRows | undefined>
}

const FAMILY = 'authenticated-scans'
const PATH = '/api/DeviceAuthenticatedScanDefinitions'
const TIMEOUT_MS = 60_000

const anyRecord = z.record(z.string(), z.unknown())
/** One sample of a single row still wraps it in a list, others may not. */
const Rows = z.object({
  value: z.union([
    z.array(anyRecord),
    anyRecord.transform((row) => [row]),
    z.null().transform(() => []),
  ]),
})

/** Makes the client of the scans of one Defender tenant. */
export function createDefenderScans(options: DefenderOptions): DefenderScans {
  const call = createDefenderCall(options)
  const base = options.baseUrl.href.replace(/\/+$/, '')

  async function ask(
    method: 'GET' | 'POST',
    path: string,
    body?: unknown,
  ): Promise<ScanRows | undefined> {
    const url = new URL(`${base}${PATH}${path}`)
    try {
      const answer = await call({
        method,
        url,
        family: FAMILY,
        lane: 'person',
        roles: defenderRoles[FAMILY],
        timeoutMs: TIMEOUT_MS,
        // The posts only read. The published sample of their answer is not quite JSON.
        ...(body !== undefined && { body, repeatable: true }),
        repair: readLeniently,
      })
      const safe = redactJson(answer.body)
      const read = Rows.safeParse(safe)
      if (!read.success)
        throw new ShapeError('defender', `${method} ${url.pathname}`, 'an answer without `value`')
      return { rows: read.data.value, body: safe }
    } catch (error) {
      if (error instanceof UpstreamError && error.facts.status === 404) return undefined
      throw error
    }
  }

  return {
    historyOfSessions: (ids) => ask('POST', '/GetScanHistoryBySessionId', { SessionIds: ids }),
    historyOfDefinition: (id, { top, skip }) =>
      ask(
        'POST',
        `/GetScanHistoryByScanDefinitionId?$top=${top.toFixed(0)}&$skip=${skip.toFixed(0)}`,
        {
          ScanDefinitionIds: [id],
        },
      ),
    definitions: () => ask('GET', ''),
  }
}
