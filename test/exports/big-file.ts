import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { constants, createGzip } from 'node:zlib'
import { createFleet } from '../../local/simulator/fleet.ts'

/** A server that is closed at the end, with all its connections. */
export interface Loopback {
  origin: string
  close(): void
}

async function listen(server: Server): Promise<Loopback> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const close = () => {
    server.close()
    server.closeAllConnections()
  }
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close }
}

const SAMPLES = 500
const ROWS_A_PIECE = 200

/** Serves one packed export file with a number of devices; the file is generated while it is sent. */
export function serveBigFile(rows: number): Promise<Loopback> {
  return listen(
    createServer((_request, response) => {
      response.writeHead(200, {
        'content-type': 'application/octet-stream',
        'x-ms-copy-status': 'success',
      })
      const packer = createGzip({ level: constants.Z_BEST_SPEED })
      pipeline(Readable.from(textOf(rows)), packer, response).catch(() => response.destroy())
    }),
  )
}

/** Lines of a realistic fleet, repeated under other device ids. */
function* textOf(rows: number): Generator<Buffer> {
  const fleet = createFleet({
    size: SAMPLES,
    files: 1,
    badLines: 0,
    duplicates: 0,
    zeroRowFiles: 0,
  })
  const samples = [...(fleet.files[0]?.lines() ?? [])].map((line) =>
    line.split(/(?<="DeviceId":")[^"]*/),
  )
  let text = ''
  for (let row = 0; row < rows; row++) {
    const [before = '', after = ''] = samples[row % samples.length] ?? []
    // The bucket depends on the first digits: the rows go to all buckets in rotation.
    const bucket = ((row * 37) % 256).toString(16).padStart(2, '0')
    text += `${before}${bucket}${row.toString(16).padStart(38, '0')}${after}\n`
    if (row % ROWS_A_PIECE === ROWS_A_PIECE - 1 || row === rows - 1) {
      yield Buffer.from(text)
      text = ''
    }
  }
}

/** A table service that accepts every batch of inserts, stores nothing and counts. */
export interface CountingTables extends Loopback {
  /** A connection string for it. */
  connectionString: string
  /** Accepted inserts. */
  rows(): number
  /** Most inserts of one batch. */
  largest(): number
}

const INSERT = Buffer.from('POST http')

/** Starts a table service on loopback that supports only `$batch`. */
export async function countTables(): Promise<CountingTables> {
  let rows = 0
  let largest = 0
  const loopback = await listen(
    createServer(async (request, response) => {
      const body = Buffer.concat(await Array.fromAsync(request))
      if (!request.url?.includes('/$batch')) return response.writeHead(501).end()
      let deps = 0
      for (let at = body.indexOf(INSERT); at >= 0; at = body.indexOf(INSERT, at + 1)) deps += 1
      rows += deps
      largest = Math.max(largest, deps)
      response
        .writeHead(202, { 'content-type': 'multipart/mixed; boundary=batchresponse_b' })
        .end(answerOf(deps))
    }),
  )
  const account = [
    'DefaultEndpointsProtocol=http',
    'AccountName=counting',
    'AccountKey=Y291bnRpbmc=',
  ]
  return {
    ...loopback,
    connectionString: [...account, `TableEndpoint=${loopback.origin}/counting`].join(';'),
    rows: () => rows,
    largest: () => largest,
  }
}

/** The answer of the service to a successful batch. */
function answerOf(deps: number): string {
  const part = [
    '--changesetresponse_c',
    'Content-Type: application/http',
    'Content-Transfer-Encoding: binary',
    '',
    'HTTP/1.1 204 No Content',
    'X-Content-Type-Options: nosniff',
    'DataServiceVersion: 3.0;',
    `ETag: W/"datetime'2026-11-21T03%3A04%3A05.0000000Z'"`,
    '',
    '',
    '',
  ].join('\r\n')
  const head =
    '--batchresponse_b\r\nContent-Type: multipart/mixed; boundary=changesetresponse_c\r\n\r\n'
  return `${head}${part.repeat(deps)}--changesetresponse_c--\r\n--batchresponse_b--\r\n`
}
