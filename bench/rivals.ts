import { gunzipSync } from 'node:zlib'
import { TableClient } from '@azure/data-tables'
import type { Work } from './cases.ts'
import { type Entity, entityOf } from './entity.ts'
import { rowsOf } from './files.ts'

const open = (storage: string) =>
  TableClient.fromConnectionString(storage, 'AvHealthSnapshot1', { allowInsecureConnection: true })

/** Sends full batches as they fill, partition by partition in turn. */
function* batchesOf(entities: Iterable<Entity>): Generator<Entity[]> {
  const waiting = new Map<string, Entity[]>()
  for (const entity of entities) {
    const batch = waiting.get(entity.partitionKey) ?? []
    waiting.set(entity.partitionKey, batch)
    if (batch.push(entity) < 100) continue
    yield batch
    waiting.delete(entity.partitionKey)
  }
  yield* waiting.values()
}

const submit = (client: TableClient, batch: Entity[]) =>
  client.submitTransaction(batch.map((entity) => ['upsert', entity, 'Replace']))

/** `submitTransaction` alone: rows made beforehand, several requests at once. */
export const submitOnly: Work = async ({ storage, shape, rows, buckets, inFlight }, begin) => {
  const client = open(storage)
  const entities = Array.from(rowsOf(shape, rows), (row) => entityOf(row, buckets))
  begin()
  const batches = batchesOf(entities)
  const sender = async () => {
    for (const batch of batches) await submit(client, batch)
  }
  await Promise.all(Array.from({ length: inFlight }, sender))
}

const download = async (origin: string, shape: string) =>
  Buffer.from(await (await fetch(`${origin}/files/${shape}`)).arrayBuffer())

/** As most connectors do it: the whole file in memory, then one transaction after the other. */
export const wholeFile: Work = async ({ storage, origin, shape, buckets }) => {
  const client = open(storage)
  const lines = gunzipSync(await download(origin, shape))
    .toString()
    .trimEnd()
    .split('\n')
  const entities = lines.map((line) => entityOf(JSON.parse(line), buckets))
  for (const batch of batchesOf(entities)) await submit(client, batch)
}

/** One upsert after the other. */
export const rowByRow: Work = async ({ storage, origin, shape, buckets }) => {
  const client = open(storage)
  await client.createTable()
  const lines = gunzipSync(await download(origin, shape))
    .toString()
    .trimEnd()
    .split('\n')
  for (const line of lines)
    await client.upsertEntity(entityOf(JSON.parse(line), buckets), 'Replace')
}
