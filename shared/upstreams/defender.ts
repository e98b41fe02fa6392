import { z } from 'zod'
import type { Priority } from '../platform/budget.ts'
import { ShapeError, UpstreamError } from '../platform/errors.ts'
import { redactJson } from '../platform/redact.ts'
import { MINUTE_MS } from '../platform/time.ts'
import { createDefenderCall, type DefenderOptions } from './defender-call.ts'
import { type DefenderFamily, defenderFamilies, type ItemFamily } from './grants.ts'
import { type ODataPage, odataPages } from './odata-pages.ts'

/** The files of the present antivirus-health export. */
export interface ExportFileList {
  /** Links that open one file each: secrets, to be judged before they are followed. */
  files: string[]
  /** When the export was made, as the service wrote it. */
  generatedTime: string | null
}

/**
 * The Defender routes that the app uses. They throw UpstreamError (403 with `missing` and `claims`, 404 or 410 for a
 * route that is gone, 429 with `retryAfterMs`, also of our own budget) and ShapeError.
 */
export interface Defender {
  /** https://learn.microsoft.com/defender-endpoint/api/device-health-export-antivirus-health-report-api */
  listExportFiles(sasValidHours: number): Promise<ExportFileList>
  /** https://learn.microsoft.com/defender-endpoint/api/device-health-export-antivirus-health-report-api */
  deviceAvInfoPages(): AsyncGenerator<ODataPage>
  /**
   * The items that an OData filter lets through. `priority`: default `background`.
   * https://learn.microsoft.com/defender-endpoint/api/get-machineactions-collection
   * https://learn.microsoft.com/defender-endpoint/api/get-investigation-collection
   */
  items(family: ItemFamily, filter: string, priority?: Priority): AsyncGenerator<ODataPage>
  /** One item; undefined when the service answers that there is none of this id. */
  item(family: ItemFamily, id: string, priority?: Priority): Promise<unknown | undefined>
}

const ExportFiles = z.object({
  exportFiles: z.array(z.string()),
  generatedTime: z.string().nullish(),
})

/** A page waits for a token of the budget as long as the window of a minute lasts. */
const PAGE_WAIT_MS = MINUTE_MS
/** A poll each minute would rather skip than stand in a queue. */
const ITEM_WAIT_MS = 20_000

/** Makes the client of one Defender tenant. */
export function createDefender(options: DefenderOptions): Defender {
  const call = createDefenderCall(options)
  // A base may have a path of its own.
  const base = options.baseUrl.href.replace(/\/+$/, '')
  const at = (path: string) => new URL(`${base}${path}`)
  const isTrusted = (url: URL) =>
    url.origin === options.baseUrl.origin || (options.isTrustedHost?.(url) ?? false)
  return {
    items(family, filter, priority = 'background') {
      const url = at(family.path)
      // The dollar goes out as it is, as in every example of the service.
      url.search = `$filter=${encodeURIComponent(filter)}`
      const ask = (page: URL) => call({ url: page, family, priority, waitUpToMs: ITEM_WAIT_MS })
      return odataPages({ url, upstream: 'defender', isTrusted, ask })
    },
    async item(family, id, priority = 'background') {
      const url = at(`${family.path}/${encodeURIComponent(id)}`)
      try {
        const { body } = await call({ url, family, priority, waitUpToMs: ITEM_WAIT_MS })
        return body
      } catch (error) {
        if (error instanceof UpstreamError && error.facts.status === 404) return undefined
        throw error
      }
    },
    async listExportFiles(sasValidHours) {
      const url = at('/api/machines/InfoGatheringExport')
      url.searchParams.set('sasValidHours', String(sasValidHours))
      const { body } = await call({ url, family: defenderFamilies.export })
      const list = ExportFiles.safeParse(body)
      if (!list.success)
        throw new ShapeError('defender', `GET ${url.pathname}`, 'an answer without `exportFiles`')
      return { files: list.data.exportFiles, generatedTime: list.data.generatedTime ?? null }
    },
    deviceAvInfoPages: () =>
      odataPages({
        url: at('/api/deviceavinfo'),
        upstream: 'defender',
        isTrusted,
        ask: (url) =>
          call({
            url,
            family: defenderFamilies.avInfo,
            waitUpToMs: PAGE_WAIT_MS,
          }),
      }),
  }
}

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

const PATH = '/api/DeviceAuthenticatedScanDefinitions'
const SCANS_TIMEOUT_MS = MINUTE_MS

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
        family: defenderFamilies.scans,
        priority: 'interactive',
        timeoutMs: SCANS_TIMEOUT_MS,
        // The posts only read.
        ...(body !== undefined && { body, repeatable: true }),
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

/** Asks a family of routes the cheapest thing that shows whether it lets us in; throws what the route throws. */
export type DefenderProbe = (family: DefenderFamily) => Promise<void>

const PROBE_TIMEOUT_MS = 20_000

/** Makes the probe of one Defender tenant. https://learn.microsoft.com/defender-endpoint/api/exposed-apis-list */
export function createDefenderProbe(options: DefenderOptions): DefenderProbe {
  const call = createDefenderCall(options)
  const base = options.baseUrl.href.replace(/\/+$/, '')
  return async (family) => {
    const url = new URL(`${base}${family.probePath}`)
    await call({
      url,
      family,
      priority: 'interactive',
      timeoutMs: PROBE_TIMEOUT_MS,
    })
  }
}
