import { z } from 'zod'
import { ShapeError, UpstreamError } from '../platform/errors.ts'
import { redactJson } from '../platform/redact.ts'
import { MINUTE_MS } from '../platform/time.ts'
import { createDefenderCall, type DefenderOptions, pathsUnder } from './defender.ts'

/** The rows of an answer and the whole answer, without secrets. */
export interface ScanRows {
  rows: Record<string, unknown>[]
  body: unknown
}

export type DefenderScans = ReturnType<typeof createDefenderScans>

const PATH = '/api/DeviceAuthenticatedScanDefinitions'

const anyRecord = z.record(z.string(), z.unknown())
/** One sample of a single row still has it in a list, others may not. */
const Rows = z.object({
  value: z.union([
    z.array(anyRecord),
    anyRecord.transform((row) => [row]),
    z.null().transform(() => []),
  ]),
})

/**
 * Makes the client of the authenticated scans of one Defender tenant. Answers have no secrets; a history
 * with a 404 is undefined. The methods throw UpstreamError (404 when no route is there, 403 with `missing` and `claims`, 429 with `retryAfterMs`, also by our own
 * budget) and ShapeError.
 */
export function createDefenderScans(options: DefenderOptions) {
  const call = createDefenderCall(options)
  const at = pathsUnder(options.baseUrl)

  async function read(path: string, body?: unknown): Promise<ScanRows> {
    const method = body === undefined ? 'GET' : 'POST'
    const url = at(`${PATH}${path}`)
    const answer = await call({
      method,
      url,
      family: 'authenticated-scans',
      priority: 'interactive',
      timeoutMs: MINUTE_MS,
      body,
      // The posts only read.
      repeatable: true,
    })
    const safe = redactJson(answer.body)
    const rows = Rows.safeParse(safe)
    if (!rows.success)
      throw new ShapeError('defender', `${method} ${url.pathname}`, 'an answer without `value`')
    return { rows: rows.data.value, body: safe }
  }

  /** Undefined with a 404, unless the list of definitions answers it too: then no route of the family is there. */
  async function readHistory(path: string, body: unknown): Promise<ScanRows | undefined> {
    try {
      return await read(path, body)
    } catch (error) {
      if (!(error instanceof UpstreamError) || error.facts.status !== 404) throw error
      await read('')
      return undefined
    }
  }

  return {
    /** https://learn.microsoft.com/defender-endpoint/api/get-scan-history-by-session */
    historyOfSessions: (ids: readonly string[]) =>
      readHistory('/GetScanHistoryBySessionId', { SessionIds: ids }),
    /** `top` and `skip` count sessions. https://learn.microsoft.com/defender-endpoint/api/get-scan-history-by-definition */
    historyOfDefinition(id: string, { top, skip }: { top: number; skip: number }) {
      const page = `$top=${top.toFixed(0)}&$skip=${skip.toFixed(0)}`
      return readHistory(`/GetScanHistoryByScanDefinitionId?${page}`, { ScanDefinitionIds: [id] })
    },
    /** https://learn.microsoft.com/defender-endpoint/api/get-all-scan-definitions */
    definitions: () => read(''),
  }
}
