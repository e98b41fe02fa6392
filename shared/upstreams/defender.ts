import { z } from 'zod'
import { ShapeError } from '../platform/errors.ts'
import { createDefenderCall, type DefenderOptions } from './defender-call.ts'
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
}

const ExportFiles = z.object({ exportFiles: z.array(z.string()), generatedTime: z.string().nullish() })

/** A page waits for a place in the budget as long as the window of a minute lasts. */
const PAGE_WAIT_MS = 60_000

/** Makes the client of one Defender tenant. */
export function createDefender(options: DefenderOptions): Defender {
  const call = createDefenderCall(options)
  // A base may have a path of its own.
  const base = options.baseUrl.href.replace(/\/+$/, '')
  const at = (path: string) => new URL(`${base}${path}`)
  return {
    async listExportFiles(sasValidHours) {
      const url = at('/api/machines/InfoGatheringExport')
      url.searchParams.set('sasValidHours', String(sasValidHours))
      const { body } = await call({ url, family: 'export', roles: ['Vulnerability.Read.All'] })
      const list = ExportFiles.safeParse(body)
      if (!list.success) throw new ShapeError('defender', `GET ${url.pathname}`, 'an answer without `exportFiles`')
      return { files: list.data.exportFiles, generatedTime: list.data.generatedTime ?? null }
    },
    deviceAvInfoPages: () =>
      odataPages({
        url: at('/api/deviceavinfo'),
        upstream: 'defender',
        isTrusted: (url) => url.origin === options.baseUrl.origin || (options.isTrustedHost?.(url) ?? false),
        ask: (url) =>
          call({
            url,
            family: 'deviceavinfo',
            roles: ['Machine.Read.All', 'Machine.ReadWrite.All'],
            waitUpToMs: PAGE_WAIT_MS,
          }),
      }),
  }
}
