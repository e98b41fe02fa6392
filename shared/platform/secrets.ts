import { z } from 'zod'
import { deleteRows, type Key, type Table } from './table.ts'
import { createRecords, rowCodec } from './table-record.ts'
import { type Clock, HOUR_MS } from './time.ts'

/** Table `Secrets`, which is in another account than the data. */
export type SecretsTable = Pick<Table, 'get' | 'list' | 'transact'>

/** The secrets of one partition by row key. */
export type Secrets<T> = ReturnType<ReturnType<typeof createSecrets<T>>>

/** Most operations of one transaction. */
const BATCH = 100

/**
 * Opens partitions of table `Secrets`. A secret is written before the row that needs it and deleted after that row, so that a
 * crash leaves no row without its secret. A secret that can't be read counts as missing.
 */
export function createSecrets<T>(table: SecretsTable, schema: z.ZodType<T>, clock: Clock) {
  const codec = rowCodec(z.object({ writtenAt: z.string(), secret: schema }))
  type Written = ReturnType<typeof codec.read>
  const records = createRecords<Written | undefined>(table, {
    toColumns: (record) => (record ? codec.toColumns(record) : {}),
    read: codec.tryRead,
  })
  const written = (secret: T) => ({ writtenAt: clock.now().toISOString(), secret }) as Written

  return (partitionKey: string) => {
    const at = (rowKey: string) => ({ partitionKey, rowKey })
    const rows = () => table.list({ partitionKey, select: ['writtenAt'] })
    return {
      read: async (key: string) => (await records.read(at(key)))?.record?.secret,

      async put(secrets: [key: string, secret: T][]) {
        for (let start = 0; start < secrets.length; start += BATCH)
          await table.transact(
            secrets
              .slice(start, start + BATCH)
              .map(([key, secret]) => records.overwrite(at(key), written(secret))),
          )
      },

      /** Writes what `decide` answers, again whenever another writer was faster; undefined changes nothing. */
      async update(key: string, decide: (secret: T | undefined) => T | undefined) {
        const updated = await records.update(at(key), (known) => {
          const secret = decide(known?.secret)
          return secret && written(secret)
        })
        return updated?.record?.secret
      },

      remove: (...keys: string[]) => deleteRows(table, keys.map(at)),

      clear: () => deleteRows(table, rows()),

      /** The keys of the partition. */
      async keys() {
        return (await Array.fromAsync(rows())).map(({ rowKey }) => rowKey)
      },
    }
  }
}

/** No request lasts longer: the row of an older secret is either written, or never will be. */
const LONGEST_WRITE_MS = HOUR_MS

/** Runs hourly. Deletes secrets that a crash has left behind. */
export async function sweepSecrets(
  table: SecretsTable,
  now: Date,
  isNeeded: (key: Key, ageMs: number) => Promise<boolean>,
) {
  for await (const { partitionKey, rowKey, columns } of table.list({ select: ['writtenAt'] })) {
    const ageMs = now.getTime() - Date.parse(String(columns.writtenAt))
    if (ageMs < LONGEST_WRITE_MS || (await isNeeded({ partitionKey, rowKey }, ageMs))) continue
    await deleteRows(table, [{ partitionKey, rowKey }])
  }
}
