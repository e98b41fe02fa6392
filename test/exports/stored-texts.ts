import { createHmac } from 'node:crypto'
import { TableClient, TableServiceClient } from '@azure/data-tables'
import { QueueServiceClient } from '@azure/storage-queue'

/** A readable text, and its location. */
export interface StoredText {
  where: string
  text: string
}

/** Everything that a storage account holds: rows of every table, messages of every queue, every blob. */
export async function storedTexts(connectionString: string): Promise<StoredText[]> {
  return [
    ...(await tableTexts(connectionString)),
    ...(await queueTexts(connectionString)),
    ...(await blobTexts(connectionString)),
  ]
}

async function tableTexts(connectionString: string): Promise<StoredText[]> {
  const options = { allowInsecureConnection: true }
  const found: StoredText[] = []
  for await (const { name = '' } of TableServiceClient.fromConnectionString(
    connectionString,
    options,
  ).listTables()) {
    for await (const row of TableClient.fromConnectionString(
      connectionString,
      name,
      options,
    ).listEntities()) {
      const { partitionKey, rowKey, ...columns } = row
      found.push({ where: `${name} ${partitionKey} ${rowKey}`, text: `${partitionKey} ${rowKey}` })
      for (const [column, value] of Object.entries(columns)) {
        found.push({ where: `${name} ${partitionKey} ${rowKey} ${column}`, text: textOf(value) })
      }
    }
  }
  return found
}

const textOf = (value: unknown) =>
  value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : String(value)

async function queueTexts(connectionString: string): Promise<StoredText[]> {
  const service = QueueServiceClient.fromConnectionString(connectionString)
  const found: StoredText[] = []
  for await (const { name } of service.listQueues()) {
    const { peekedMessageItems } = await service
      .getQueueClient(name)
      .peekMessages({ numberOfMessages: 32 })
    found.push({
      where: `queue ${name}`,
      text: peekedMessageItems.map(({ messageText }) => messageText).join('\n'),
    })
  }
  return found
}

/** The packages include no blob client: containers and blobs are listed with requests that are signed here. */
async function blobTexts(connectionString: string): Promise<StoredText[]> {
  const settings = Object.fromEntries(
    connectionString.split(';').map((part) => part.split(/=(.*)/s).slice(0, 2)),
  )
  const { AccountName: account, AccountKey: key, BlobEndpoint: endpoint } = settings

  async function ask(path: string, query: Record<string, string>): Promise<string> {
    const url = new URL(`${endpoint}${path}`)
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value)
    const headers = { 'x-ms-date': new Date().toUTCString(), 'x-ms-version': '2021-12-02' }
    const signed = [
      `GET${'\n'.repeat(12)}`,
      ...Object.entries(headers).map(([name, value]) => `${name}:${value}\n`),
      `/${account}${url.pathname}`,
      ...Object.entries(query)
        .sort()
        .map(([name, value]) => `\n${name}:${value}`),
    ].join('')
    const signature = createHmac('sha256', Buffer.from(key, 'base64'))
      .update(signed)
      .digest('base64')
    const answer = await fetch(url, {
      headers: { ...headers, authorization: `SharedKey ${account}:${signature}` },
    })
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`)
    return answer.text()
  }
  const namesIn = (xml: string) =>
    [...xml.matchAll(/<Name>([^<]*)<\/Name>/g)].map(([, name = '']) => name)

  const found: StoredText[] = []
  for (const container of namesIn(await ask('', { comp: 'list' }))) {
    for (const blob of namesIn(
      await ask(`/${container}`, { restype: 'container', comp: 'list' }),
    )) {
      found.push({
        where: `blob ${container}/${blob}`,
        text: await ask(`/${container}/${blob}`, {}),
      })
    }
  }
  return found
}
