import type { Readable } from 'node:stream'
import { UpstreamError } from '../platform/errors.ts'
import type { Http } from '../platform/http.ts'
import { firstChunk, gunzipped as unpack } from '../platform/stream.ts'

/** What opening a link gave. Only `open` has bytes; `not-ready` may be tried again later, `expired` needs a new link. */
export type OpenedFile =
  | { kind: 'open'; body: Readable /** Packed, where the store says so. */; bytes: number | null }
  | { kind: 'empty' | 'not-ready' | 'expired' | 'gone' }

export interface ExportFilesOptions {
  http: Http
  /** Which links may be followed: they come from outside. */
  isAllowedLink(url: URL): boolean
}

/** The store that the links of an export lead to. */
export interface ExportFiles {
  /** Opens one link, without our token; UpstreamError for what the five answers do not cover. */
  open(link: string): Promise<OpenedFile>
}

const sender = { upstream: 'export-files', call: 'GET export file' }

/** Allows https links to hosts that end in `suffix` (which begins with a dot), on the usual port. */
export function httpsHostsUnder(suffix: string): (url: URL) => boolean {
  return (url) => url.protocol === 'https:' && url.port === '' && url.hostname.endsWith(suffix)
}

/** Makes the reader of export files. https://learn.microsoft.com/rest/api/storageservices/get-blob */
export function createExportFiles({ http, isAllowedLink }: ExportFilesOptions): ExportFiles {
  return {
    async open(link) {
      const url = URL.parse(link)
      if (!url) throw new UpstreamError({ ...sender, reason: 'forbidden-host', retryable: false })
      try {
        const { body, headers } = await http.stream({
          method: 'GET',
          url,
          name: sender.call,
          isAllowed: isAllowedLink,
        })
        if (await firstChunk(body))
          return { kind: 'open', body, bytes: lengthOf(headers['content-length']) }
        // The links are listed before the copy behind them has ended; until then a blob has no bytes.
        return { kind: headers['x-ms-copy-status'] === 'success' ? 'empty' : 'not-ready' }
      } catch (error) {
        const { status, code } = error instanceof UpstreamError ? error.facts : {}
        // Other refusals with 403 (a firewall's, for instance) would not end with a new link.
        if (status === 403 && code === 'AuthenticationFailed') return { kind: 'expired' }
        if (status === 404) return { kind: 'gone' }
        throw error
      }
    },
  }
}

/** The lines of a file, unpacked; see `gunzipped` of the platform for its errors. */
export const gunzipped = (body: Readable): Readable => unpack(body, sender)

const lengthOf = (header: string | undefined) =>
  header && /^\d+$/.test(header) ? Number(header) : null
