import { z } from 'zod'
import { bounds } from '../platform/body.ts'
import { ShapeError, unlessMissing } from '../platform/errors.ts'
import { redactJson } from '../platform/redact.ts'
import { createDefenderCall, type DefenderOptions } from './defender.ts'
import { defenderFamilies } from './limits-and-roles.ts'

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
 * Makes the client of the authenticated scans of one Defender tenant. Answers have no secrets; a history with a 404 is
 * undefined. All other errors are those of `createDefender`.
 */
export function createDefenderScans(options: DefenderOptions) {
  const { at, call } = createDefenderCall(options)

  /** The rows of an answer and the whole answer, without secrets. */
  async function read(path: string, body?: unknown) {
    const method = body === undefined ? 'GET' : 'POST'
    const url = at(`${PATH}${path}`)
    const answer = await call({
      method,
      url,
      family: defenderFamilies.scans,
      priority: 'interactive',
      ...bounds.scans,
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
  async function readHistory(path: string, body: unknown) {
    const rows = await unlessMissing(read(path, body))
    if (!rows) await read('')
    return rows
  }

  return {
    /** https://learn.microsoft.com/defender-endpoint/api/get-scan-history-by-session */
    historyOfSessions: (ids: readonly string[]) =>
      readHistory('/GetScanHistoryBySessionId', { SessionIds: ids }),
    /**
     * `top` and `skip` count sessions.
     * https://learn.microsoft.com/defender-endpoint/api/get-scan-history-by-definition
     */
    historyOfDefinition(id: string, { top, skip }: { top: number; skip: number }) {
      const page = `$top=${top.toFixed(0)}&$skip=${skip.toFixed(0)}`
      return readHistory(`/GetScanHistoryByScanDefinitionId?${page}`, { ScanDefinitionIds: [id] })
    },
    /** https://learn.microsoft.com/defender-endpoint/api/get-all-scan-definitions */
    definitions: () => read(''),
  }
}
