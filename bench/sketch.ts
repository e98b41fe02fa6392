import { Readable } from 'node:stream'
import type { ReadableStream } from 'node:stream/web'
import { createGunzip } from 'node:zlib'
import {
  createDefaultHttpClient,
  createHttpHeaders,
  createPipelineRequest,
} from '@azure/core-rest-pipeline'
import { TableClient } from '@azure/data-tables'
import { bucketFor } from '../shared/exports/snapshot-table.ts'
import type { Work } from './cases.ts'
import type { Entity } from './entity.ts'

const http = createDefaultHttpClient()

/**
 * What an import of an export file costs at least: reads, maps and writes without any check, count, retry or ledger.
 * Values are taken as they come; only times and flags are brought into one form.
 */
export const sketch: Work = async ({ storage, origin, shape, buckets, inFlight }) => {
  const client = TableClient.fromConnectionString(storage, 'AvHealthSnapshot1', {
    allowInsecureConnection: true,
    retryOptions: { maxRetries: 0 },
  })
  const batches = new Map<string, Buffer[]>()
  const sending = new Set<Promise<void>>()
  const head = `--changeset_c\r\ncontent-type: application/http\r\ncontent-transfer-encoding: binary\r\n\r\nPUT ${client.url}/AvHealthSnapshot1`

  async function send(parts: Buffer[]): Promise<void> {
    const body = Buffer.concat([
      Buffer.from('--batch_b\r\ncontent-type: multipart/mixed; boundary=changeset_c\r\n\r\n'),
      ...parts,
      Buffer.from('--changeset_c--\r\n--batch_b--\r\n'),
    ])
    const answer = await client.pipeline.sendRequest(
      http,
      createPipelineRequest({
        url: `${client.url}/$batch`,
        method: 'POST',
        body,
        allowInsecureConnection: true,
        headers: createHttpHeaders({
          'x-ms-version': '2019-02-02',
          'content-type': 'multipart/mixed; boundary=batch_b',
          accept: 'application/json',
          DataServiceVersion: '3.0',
        }),
      }),
    )
    const done = (answer.bodyAsText ?? '').split('HTTP/1.1 2').length - 1
    if (answer.status !== 202 || done !== parts.length) throw new Error(`answer ${answer.status}`)
  }

  async function flush(partition: string, parts: Buffer[]): Promise<void> {
    batches.delete(partition)
    while (sending.size >= inFlight) await Promise.race(sending)
    const sent = send(parts).finally(() => sending.delete(sent))
    sending.add(sent)
  }

  const response = await fetch(`${origin}/files/${shape}`)
  const body = Readable.fromWeb(response.body as ReadableStream<Uint8Array>)
  let rest = ''
  for await (const chunk of body.pipe(createGunzip({ chunkSize: 65_536 }))) {
    const lines = (rest + chunk.toString()).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      const { partitionKey, rowKey, ...values } = nested(JSON.parse(line), buckets)
      const json = JSON.stringify({ PartitionKey: partitionKey, RowKey: rowKey, ...values })
      const parts = batches.get(partitionKey) ?? []
      batches.set(partitionKey, parts)
      parts.push(
        Buffer.from(
          `${head}(PartitionKey='${partitionKey}',RowKey='${rowKey}') HTTP/1.1\r\nContent-Type: application/json\r\nAccept: application/json\r\nDataServiceVersion: 3.0\r\n\r\n${json}\r\n`,
        ),
      )
      if (parts.length === 100) await flush(partitionKey, parts)
    }
  }
  for (const [partition, parts] of batches) await flush(partition, parts)
  await Promise.all(sending)
}

type Row = Record<string, unknown>

function time(value: unknown): string {
  const text = String(value)
  if (text.endsWith('Z')) return text
  return `${text.slice(0, 10)}T${text.slice(11).replace('+00:00', '')}Z`
}

const flags: Record<string, string> = { true: 'true', false: 'false', True: 'true', False: 'false' }
const flag = (value: unknown) => flags[String(value)] ?? 'unknown'
const plain = (value: unknown) => value

/** The column of a field, and how its value is taken; a field that is not here is stored with the others. */
const fields = new Map<string, [column: string, take: (value: unknown) => unknown]>()
const texts =
  'OsPlatform OsVersion RbacGroupName RbacGroupId AvMode AvEngineVersion AvSignatureVersion AvPlatformVersion CloudProtectionState AvSignatureRing AvPlatformRing AvEngineRing QuickScanResult FullScanResult'
const times =
  'LastSeenTime Timestamp AvModeDataRefreshTime AvEngineUpdateTime AvSignatureUpdateTime AvPlatformUpdateTime AvSignaturePublishTime AvPlatformPublishTime AvPlatformExpirationTime AvEnginePublishTime AvSignatureDataRefreshTime'
const checks =
  'AvIsSignatureUpToDate AvIsEngineUpToDate AvIsPlatformUpToDate AvIsSignatureUptoDate AvIsEngineUptodate AvIsPlatformUptodate'
for (const [names, take] of [
  [texts, plain],
  [times, time],
  [checks, flag],
] as const)
  for (const name of names.split(' '))
    fields.set(name, [name.charAt(0).toLowerCase() + name.slice(1), take])
fields.set('DeviceName', ['computerDnsName', plain])

/** An entity from a line of an export file, whose antivirus data are JSON text inside the line's JSON. */
function nested(row: Row, buckets: number): Entity {
  const id = String(row.DeviceId)
  const entity: Row = { partitionKey: bucketFor(id, buckets), rowKey: id, machineId: id }
  const other: Row = {}
  let scans: unknown
  function take(source: Row): void {
    for (const name in source) {
      const value = source[name]
      if (value === null || value === '') continue
      const field = fields.get(name)
      if (field) entity[field[0]] = field[1](value)
      else if (name === 'DeviceGatheredInfo') take(parsed(value))
      else if (name === 'AvScanResults') scans = parsed(value)
      else if (name !== 'DeviceId') other[name] = value
    }
  }
  take(row)
  for (const kind in scans as Row) {
    const scan = (scans as Row)[kind] as Row | null
    if (!scan) continue
    const prefix = `${kind.toLowerCase()}Scan`
    if (scan.ScanStatus) entity[`${prefix}Result`] = scan.ScanStatus
    if (scan.ErrorCode) entity[`${prefix}Error`] = scan.ErrorCode
    if (scan.Timestamp) entity[`${prefix}Time`] = time(scan.Timestamp)
  }
  const rest = JSON.stringify(other)
  if (rest !== '{}') entity.other = rest
  return entity as Entity
}

const parsed = (value: unknown) => (typeof value === 'string' ? JSON.parse(value) : value)
