import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { createTables, isStorageFailure } from '../../shared/platform/azure-table.ts'

/** A table whose service answers as the test says, and the requests that reached it. */
async function openTable(listener: RequestListener) {
  const requests: string[] = []
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`)
    request.resume().on('end', () => listener(request, response))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}/acc`
  const connectionString = `DefaultEndpointsProtocol=http;AccountName=acc;AccountKey=a2V5;TableEndpoint=${endpoint}`
  const table = createTables({ connectionString })('Things')
  const batch = table.openBatch('p')
  batch.insert('a', '"n":1')
  batch.insert('b', '"n":2')
  return { table, batch, requests }
}

const part = 'HTTP/1.1 204 No Content\r\nETag: W/"1"\r\n\r\n'

test('the rows of a batch are sent once: what follows a busy answer is the writer’s business', async () => {
  const { table, batch, requests } = await openTable((_request, response) => {
    const body = { 'odata.error': { code: 'ServerBusy', message: { value: 'busy' } } }
    response.writeHead(503, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  })

  await expect(table.insert(batch)).rejects.toMatchObject({ statusCode: 503, code: 'ServerBusy' })

  expect(requests).toEqual(['POST /acc/$batch'])
})

test('an answer for fewer rows than were sent is a failure, not a success', async () => {
  const { table, batch } = await openTable((_request, response) => {
    response.writeHead(202, { 'content-type': 'multipart/mixed; boundary=b' }).end(part)
  })

  await expect(table.insert(batch)).rejects.toThrow('1 parts to a batch of 2')
})

test('a page of a proxy and a cut connection are failures of storage, with the status', async () => {
  const html = await openTable((_request, response) => response.writeHead(403).end('<html>no'))
  const cut = await openTable((request) => request.socket.destroy())

  const refused = await html.table.insert(html.batch).catch((error) => error)
  const lost = await cut.table.insert(cut.batch).catch((error) => error)

  expect(refused).toMatchObject({ statusCode: 403, message: 'the table service answered 403' })
  expect([refused, lost].map(isStorageFailure)).toEqual([true, true])
})

test('a transaction that the service is too busy for is repeated by the SDK', async () => {
  const busyOnce = [true]
  const { table, requests } = await openTable((_request, response) => {
    if (busyOnce.pop()) response.writeHead(503, { 'retry-after-ms': '1' }).end()
    else response.writeHead(202, { 'content-type': 'multipart/mixed; boundary=b' }).end(part)
  })

  const etags = await table.transact([
    { kind: 'upsert', partitionKey: 'p', rowKey: 'a', columns: {} },
  ])

  expect(etags).toEqual(['W/"1"'])
  expect(requests).toHaveLength(2)
})
