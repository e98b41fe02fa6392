import { createReadStream } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { entityOf } from './entity.ts'
import { rowsOf } from './files.ts'
import { serveRows } from './table-rows.ts'

/**
 * A table service for benchmarks, in a process of its own: it answers batches on snapshot tables after `latencyMs`, refuses
 * what exceeds its limits with 503, stores the rows of other tables, and serves files.
 */
export interface ServerOptions {
  latencyMs: number
  /** Rows a second for the account and for each partition; 0 = no limit. */
  account: number
  partition: number
  /** Stores the rows of snapshots too; else they are only counted. */
  keeps?: boolean
  /** Tables that hold so many devices from the beginning. */
  filled?: { rows: number; tables: string[] }
  /** Files to serve, by their name. */
  files: Record<string, string>
}

export interface ServerStats {
  rows: number
  requests: number
  /** How often requests were sent on together, while they are held back. */
  rounds: number
  busy: number
}

const options: ServerOptions = JSON.parse(process.argv[2] ?? '{}')
const stats: ServerStats = { rows: 0, requests: 0, rounds: 0, busy: 0 }
const stored = serveRows()
if (options.filled) {
  const { rows, tables } = options.filled
  const entities = Array.from(rowsOf('paged', rows), (row) => {
    const { partitionKey: PartitionKey, rowKey: RowKey, ...values } = entityOf(row, 16)
    return { PartitionKey, RowKey, ...values }
  })
  for (const table of tables) stored.fill(table, entities)
}

/** Milliseconds without another request after which those that wait are one round. */
const QUIET_MS = 60
let isHeld = false
const waiting: (() => void)[] = []
let timer: NodeJS.Timeout | undefined

/** Waits until no other request comes. */
function round(): Promise<void> {
  clearTimeout(timer)
  timer = setTimeout(() => {
    stats.rounds += 1
    for (const send of waiting.splice(0)) send()
  }, QUIET_MS)
  return new Promise((resolve) => waiting.push(resolve))
}

const server = createServer((request, response) => {
  answer(request, response).catch((error) => {
    console.error(error)
    response.destroy()
  })
})
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port))
process.on('message', () => process.send?.(stats))
process.on('disconnect', () => process.exit())

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = request.url ?? ''
  if (url.startsWith('/stats')) {
    isHeld = url.endsWith('?hold')
    return void response.end(JSON.stringify(stats))
  }
  const file = options.files[url.slice('/files/'.length)]
  if (file) {
    response.writeHead(200, { 'x-ms-copy-status': 'success' })
    createReadStream(file).pipe(response)
    return
  }
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  const body = Buffer.concat(chunks)
  // Spread as the latency of a service is, the same in every run.
  const waitMs = options.latencyMs * (0.75 + ((stats.requests++ * 0.37) % 0.5))
  if (isHeld) await round()
  const { status, headers, text } = answerTo(request, url, body)
  const send = () => response.writeHead(status, headers).end(text)
  if (options.latencyMs > 0) setTimeout(send, waitMs)
  else send()
}

const SNAPSHOT = Buffer.from('/AvHealthSnapshot')
const INSERT = Buffer.from('POST http')
const PARTITION = Buffer.from('"PartitionKey":"')

function answerTo(request: IncomingMessage, url: string, body: Buffer) {
  const isBatch = url.includes('$batch')
  if (isBatch && body.subarray(0, 2000).includes(SNAPSHOT)) {
    const answer = takeBatch(body)
    if (!options.keeps || answer.status !== 202) return answer
  }
  if (url.includes('AvHealthSnapshot') && request.method === 'POST') stats.rows += 1
  return stored.answer(request.method ?? '', url, body)
}

/** Answers a batch of inserts or upserts by the limits, without storing it. */
function takeBatch(body: Buffer) {
  let rows = 0
  const verb = body.includes(INSERT) ? INSERT : Buffer.from('PUT http')
  for (let at = body.indexOf(verb); at >= 0; at = body.indexOf(verb, at + 300)) rows += 1
  const at = body.indexOf(PARTITION) + PARTITION.length
  const partition = body.toString('latin1', at, body.indexOf('"', at))
  if (!takeTokens(partition, rows)) {
    stats.busy += 1
    const text = JSON.stringify({
      'odata.error': { code: 'ServerBusy', message: { value: 'busy' } },
    })
    return { status: 503, headers: { 'content-type': 'application/json' }, text }
  }
  stats.rows += rows
  const headers = { 'content-type': 'multipart/mixed; boundary=batchresponse_b' }
  return { status: 202, headers, text: HEAD + PART.repeat(rows) + TAIL }
}

const HEAD =
  '--batchresponse_b\r\nContent-Type: multipart/mixed; boundary=changesetresponse_c\r\n\r\n'
const TAIL = '--changesetresponse_c--\r\n--batchresponse_b--\r\n'
const PART = [
  '--changesetresponse_c',
  'Content-Type: application/http',
  'Content-Transfer-Encoding: binary',
  '',
  'HTTP/1.1 204 No Content',
  'X-Content-Type-Options: nosniff',
  'Cache-Control: no-cache',
  'DataServiceVersion: 1.0;',
  `ETag: W/"datetime'2026-11-21T03%3A04%3A05.0000000Z'"`,
  '',
  '',
  '',
].join('\r\n')

const buckets = new Map<string, { tokens: number; atMs: number }>()

/** Takes tokens for some rows from the account and their partition, or none at all. A quarter of a second can be saved up. */
function takeTokens(partition: string, rows: number): boolean {
  const taken = [
    { key: 'account', rate: options.account },
    { key: `partition ${partition}`, rate: options.partition },
  ]
    .filter(({ rate }) => rate > 0)
    .map(({ key, rate }) => {
      const nowMs = performance.now()
      const { tokens, atMs } = buckets.get(key) ?? { tokens: rate / 4, atMs: nowMs }
      const now = {
        tokens: Math.min(rate / 4, tokens + ((nowMs - atMs) / 1000) * rate),
        atMs: nowMs,
      }
      buckets.set(key, now)
      return now
    })
  if (taken.some(({ tokens }) => tokens < rows)) return false
  for (const bucket of taken) bucket.tokens -= rows
  return true
}
