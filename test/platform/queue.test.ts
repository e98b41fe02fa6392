import { QueueClient } from '@azure/storage-queue'
import { expect, test } from 'vitest'
import { createQueues } from '../../shared/platform/queue.ts'
import { createQueueConsumer } from '../faults/emulator.ts'
import { createMemoryQueue } from '../memory-queue.ts'
import { freshStorage } from '../storage.ts'
import { passMoment, promiseQueue } from './queue-contract.ts'
import { createStillClock } from './still-clock.ts'

promiseQueue('of the queue service', async () => {
  const connectionString = await freshStorage()
  return {
    queue: createQueues({ connectionString })('things'),
    pass: passMoment,
    consumer: createQueueConsumer(connectionString, 'things'),
  }
})

promiseQueue('in memory', async () => {
  const clock = createStillClock()
  const queue = createMemoryQueue('things', clock)
  return { queue, consumer: queue, pass: (seconds) => clock.advance(seconds * 1000) }
})

test('a message never expires', async () => {
  const connectionString = await freshStorage()
  const queue = createQueues({ connectionString })('things')
  await queue.create()

  await queue.send({ n: 1 })
  const { receivedMessageItems } = await new QueueClient(
    connectionString,
    'things',
  ).receiveMessages()

  expect(receivedMessageItems[0]?.expiresOn.getUTCFullYear()).toBe(9999)
})

test('a queue that is opened twice is one', async () => {
  const queues = createQueues({ connectionString: await freshStorage() })

  expect(queues('things')).toBe(queues('things'))
  expect(queues('others').name).toBe('others')
})
