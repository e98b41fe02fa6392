import { TableClient } from '@azure/data-tables'

/** Whether an error of the storage SDK carries this HTTP status. */
export function isStatus(error: unknown, status: number): boolean {
  return error instanceof Error && 'statusCode' in error && error.statusCode === status
}

/** Opens a table of the emulator, creating it when it is not there. */
export async function openTable(connectionString: string, name: string): Promise<TableClient> {
  const table = TableClient.fromConnectionString(connectionString, name, {
    allowInsecureConnection: true,
  })
  await table.createTable()
  return table
}
