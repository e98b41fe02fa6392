import { afterAll } from 'vitest'
import { createTables } from '../../shared/platform/azure-table.ts'
import { createQueues } from '../../shared/platform/queue.ts'
import { promiseQueue } from '../platform/queue-contract.ts'
import { createStillClock } from '../platform/still-clock.ts'
import { promiseTable } from '../platform/table-contract.ts'
import { createNetwork } from './network.ts'
import { connectionStringAt, createStorageService } from './storage-service.ts'

const closing: (() => void)[] = []
afterAll(() => {
  for (const close of closing) close()
})

/** A storage service whose requests pass the network. */
async function serve(clock: { now(): Date }) {
  const storage = createStorageService(clock)
  const nowhere = () => ''
  const network = await createNetwork(storage, nowhere, nowhere)
  closing.push(network.close)
  const origin = await network.connect({ isDead: false })
  return { storage, connectionString: connectionStringAt(origin, storage.account) }
}

promiseTable('behind the network of faults', async () => {
  const { connectionString } = await serve({ now: () => new Date() })
  return createTables({ connectionString })('Things')
})

promiseQueue('behind the network of faults', async () => {
  const clock = createStillClock()
  const { storage, connectionString } = await serve(clock)
  return {
    queue: createQueues({ connectionString })('things'),
    consumer: storage.queue('things'),
    pass: (seconds) => clock.advance(seconds * 1000),
  }
})
