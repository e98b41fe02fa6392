import { TableClient } from '@azure/data-tables'
import { poll } from '../shared/changes/poll.ts'
import { createTables } from '../shared/platform/azure-table.ts'
import { createContext } from '../test/changes/item-store.ts'
import type { CaseOptions, Work } from './cases.ts'
import { systemClock as clock } from './clock.ts'

type Item = Record<string, unknown> & { id: string; status: string }

/** Items of the last hour, all open, two for each device. */
function itemsOf(count: number): Item[] {
  const nowMs = clock.now().getTime()
  return Array.from({ length: count }, (_, n) => {
    const at = new Date(nowMs - (n * 3_000_000) / count).toISOString()
    return {
      id: `action-${String(n).padStart(6, '0')}`,
      type: 'RunAntiVirusScan',
      status: 'Pending',
      machineId: `m${String(Math.floor(n / 2)).padStart(6, '0')}`,
      requestor: 'somebody@example.com',
      requestorComment: 'a comment of the usual length',
      creationDateTimeUtc: at,
      lastUpdateDateTimeUtc: at,
    }
  })
}

/** Ends every twentieth item, another one each time. */
function change(items: Item[], round: number): void {
  for (let n = round; n < items.length; n += 20) {
    const item = items[n]
    if (item)
      Object.assign(item, { status: 'Succeeded', lastUpdateDateTimeUtc: clock.now().toISOString() })
  }
}

const contextOf = (storage: string, items: Item[]) =>
  createContext({
    table: createTables({ connectionString: storage })('Changes'),
    clock,
    source: {
      async *list() {
        yield { rows: items, date: clock.now() }
      },
      get: async (id) => items.find((item) => item.id === id),
    },
  })

const requestsAt = async (origin: string): Promise<number> =>
  ((await (await fetch(`${origin}/stats`)).json()) as { requests: number }).requests

async function measured(
  { storage, origin, rows }: Required<CaseOptions> & { origin: string },
  begin: () => void,
  warmUps: number,
) {
  await createTables({ connectionString: storage })('Changes').create()
  const items = itemsOf(rows)
  await poll(contextOf(storage, items))
  const context = contextOf(storage, items)
  const { append } = context.feed
  let appended = 0
  context.feed.append = async (...given) => {
    const head = await append(...given)
    appended = await requestsAt(origin)
    return head
  }
  for (let round = 0; round < warmUps; round++) {
    change(items, round)
    await poll(context)
  }
  change(items, warmUps)
  const before = await requestsAt(origin)
  begin()
  const { report } = await poll(context)
  // What follows the events is the standing of devices.
  const standingRequests = (await requestsAt(origin)) - appended
  if (report.events !== rows / 20) throw new Error(`${report.events} events`)
  return { requests: appended - before, standingRequests }
}

/** The first poll of a process. */
export const pollCold: Work = (options, begin) => measured(options, begin, 0)

/** A later poll of a process. */
export const pollWarm: Work = (options, begin) => measured(options, begin, 2)

/** One point read an item, ten at once, and nothing else. */
export const pointReads: Work = async ({ storage, origin, rows }, begin) => {
  const items = itemsOf(rows).map(({ id }) => ({
    PartitionKey: 'p',
    RowKey: id,
    status: 'Pending',
  }))
  await fetch(`${origin}/fill/Items`, { method: 'POST', body: JSON.stringify(items) })
  const client = TableClient.fromConnectionString(storage, 'Items', {
    allowInsecureConnection: true,
  })
  const left = items.values()
  begin()
  const reader = async () => {
    for (const { RowKey } of left) await client.getEntity('p', RowKey)
  }
  await Promise.all(Array.from({ length: 10 }, reader))
}
