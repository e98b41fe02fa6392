import { QueueClient } from '@azure/storage-queue'
import { expect, test } from 'vitest'
import { freshStorage } from '../../storage.ts'
import { hostJson } from './fixture-options.ts'
import { eventually, startTestHost } from './start.ts'
import { closeGate, seen } from './witness.ts'

interface Taken {
  message: unknown
  metadata: Record<string, unknown>
}

const taken = () => seen.filter(({ what }) => what === 'message').map(({ value }) => value as Taken)

async function queueHost(change: { queues?: object } = {}) {
  const storage = await freshStorage()
  const queue = new QueueClient(storage, 'incoming')
  const poison = new QueueClient(storage, 'incoming-poison')
  await queue.create()
  const host = await startTestHost({ storage, hostJson: hostJson(change) })
  const before = taken().length
  const messages = () => taken().slice(before)
  return { host, queue, poison, messages }
}

const isEmpty = async (queue: QueueClient) =>
  (await queue.getProperties()).approximateMessagesCount === 0 ? true : undefined

test('a JSON message arrives parsed, with its own fields before those of the queue, and is deleted afterwards', async () => {
  const { queue, messages } = await queueHost()

  await queue.sendMessage(JSON.stringify({ id: 'my own', value: [1] }))
  await eventually(() => isEmpty(queue))
  const [first] = messages()

  expect(first?.message).toEqual({ id: 'my own', value: [1] })
  expect(first?.metadata).toMatchObject({ id: 'my own', value: [1], dequeueCount: 1 })
  expect(Object.keys(first?.metadata ?? {})).toEqual(
    expect.arrayContaining([
      'queueTrigger',
      'expirationTime',
      'insertionTime',
      'nextVisibleTime',
      'popReceipt',
    ]),
  )
})

test('anything else arrives as text', async () => {
  const { queue, messages } = await queueHost()

  await queue.sendMessage('not {json}')
  await eventually(() => isEmpty(queue))

  expect(messages().map(({ message }) => message)).toEqual(['not {json}'])
})

test('after five failures a message goes to the poison queue, for seven days', async () => {
  const { queue, poison, messages, host } = await queueHost()

  await queue.sendMessage('"poison"', { messageTimeToLive: -1 })
  const [message] = await eventually(async () => {
    const { receivedMessageItems } = await poison
      .receiveMessages()
      .catch(() => ({ receivedMessageItems: [] }))
    return receivedMessageItems.length > 0 ? receivedMessageItems : undefined
  })
  await eventually(() => isEmpty(queue))
  const livesDays =
    ((message?.expiresOn.getTime() ?? 0) - (message?.insertedOn.getTime() ?? 0)) / 86_400_000

  expect(message?.messageText).toBe('"poison"')
  expect(livesDays).toBeCloseTo(7, 1)
  expect(messages().map(({ metadata }) => metadata.dequeueCount)).toEqual([1, 2, 3, 4, 5])
  expect(
    host.lines.filter((line) => line.startsWith("Executed 'Functions.take' (Failed")),
  ).toHaveLength(5)
})

test('a failed message stays hidden for the visibility timeout', async () => {
  const { queue, messages, host } = await queueHost({ queues: { visibilityTimeout: '01:00:00' } })

  await queue.sendMessage('"poison"')
  await eventually(() => host.lines.find((line) => line.includes('Failed')))
  const peeked = await queue.peekMessages()

  expect(messages()).toHaveLength(1)
  expect(peeked.peekedMessageItems).toEqual([])
  expect(await isEmpty(queue)).toBeUndefined()
})

test('no more messages are in progress than the batch and its threshold allow', async () => {
  const { queue, messages } = await queueHost({ queues: { batchSize: 4, newBatchThreshold: 2 } })
  const openGate = closeGate('take')

  await Promise.all(Array.from({ length: 12 }, (_none, index) => queue.sendMessage(String(index))))
  const atOnce = await eventually(async () => {
    const { peekedMessageItems } = await queue.peekMessages({ numberOfMessages: 12 })
    const begun = messages().length
    // Between the two looks, a batch may be on its way.
    return begun > 2 && begun + peekedMessageItems.length === 12 ? begun : undefined
  })
  openGate()
  await eventually(() => isEmpty(queue))

  expect(atOnce).toBeLessThanOrEqual(4 + 2)
  expect(messages().map(({ message }) => message)).toEqual(expect.arrayContaining([0, 5, 11]))
  expect(messages()).toHaveLength(12)
})

test('base64 messages are read by default; others go directly to the poison queue', async () => {
  const { queue, poison, messages } = await queueHost({ queues: { messageEncoding: undefined } })

  await queue.sendMessage(Buffer.from('{"coded":true}').toString('base64'))
  await queue.sendMessage('not base64!')
  await eventually(() => isEmpty(queue))
  const { peekedMessageItems } = await poison.peekMessages()

  expect(messages().map(({ message }) => message)).toEqual([{ coded: true }])
  expect(peekedMessageItems.map(({ messageText }) => messageText)).toEqual(['not base64!'])
})

test('a message stays hidden while its function runs', async () => {
  const { queue, messages, host } = await queueHost()
  const openGate = closeGate('take')

  await queue.sendMessage('"long"')
  await eventually(() => (messages().length === 1 ? true : undefined))
  // The receipt changes with every renewal: the delete at the end works only with the newest.
  for (let renewals = 0; renewals < 3; renewals += 1) {
    host.clock.advance(5 * 60_000)
    await queue.getProperties()
  }
  openGate()
  await eventually(() => isEmpty(queue))

  expect(messages()).toHaveLength(1)
})

test('a missing queue is not created: the trigger waits for it', async () => {
  const storage = await freshStorage()
  const host = await startTestHost({ storage })
  const queue = new QueueClient(storage, 'incoming')
  const before = taken().length

  await host.get('/api/echo')
  const existed = await queue.exists()
  await queue.create()
  await queue.sendMessage('"late"')
  await eventually(() => taken()[before])

  expect(existed).toBe(false)
})
