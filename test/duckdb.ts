import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import type { openContainer } from './blob-container.ts'

/** Another engine than our own; answers rows as JSON values. */
export async function openDuckDb() {
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' })
  const connection = await instance.connect()
  return {
    ask: async (sql: string) => (await connection.runAndReadAll(sql)).getRowObjectsJson(),
    close() {
      connection.closeSync()
      instance.closeSync()
    },
  }
}

/** Copies a container to a new folder, and answers that. */
export async function copyContainer(container: ReturnType<typeof openContainer>): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'defender-relay-parquet-'))
  for (const name of await container.names()) {
    const file = join(folder, name)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, (await container.bytes(name)) ?? '')
  }
  return folder
}
