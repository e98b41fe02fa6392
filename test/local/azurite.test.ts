import { TableClient } from '@azure/data-tables'
import { expect, test } from 'vitest'
import { freshStorage } from '../storage.ts'

test('two tests never share an account', async () => {
  const [first, second] = [await freshStorage(), await freshStorage()]
  const clients = [first, second].map((connection) =>
    TableClient.fromConnectionString(connection, 'Same', { allowInsecureConnection: true }),
  )
  for (const client of clients) await client.createTable()

  await clients[0]?.createEntity({ partitionKey: 'a', rowKey: 'b' })

  await expect(clients[1]?.getEntity('a', 'b')).rejects.toMatchObject({ statusCode: 404 })
})
