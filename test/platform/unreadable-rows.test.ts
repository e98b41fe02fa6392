import { expect, test } from 'vitest'
import { createFeed } from '../../shared/events/feed/feed.ts'
import { readFeed } from '../../shared/events/feed/read.ts'
import { createTickets } from '../../shared/platform/tickets.ts'
import { someEvent } from '../events/world.ts'
import { createMemoryTable } from '../memory-table.ts'

async function tableWith(name: string, partitionKey: string, ...rowKeys: string[]) {
  const table = createMemoryTable(name)
  await table.create()
  for (const rowKey of rowKeys)
    await table.transact([{ kind: 'insert', partitionKey, rowKey, columns: { isOpen: true } }])
  return table
}

test('an event that can’t be read is a gap for readers of the feed, and the next ones are read', async () => {
  const table = await tableWith('Streams', 's')
  const feed = createFeed(table)
  const before = await feed.head('s')
  await feed.append(
    before,
    [1, 2, 3].map(() => ({ event: someEvent() })),
    'polled',
    {},
  )
  const second = await table.page({ from: 'event|', before: 'event}' })
  const { partitionKey = '', rowKey = '' } = second.rows[1] ?? {}
  await table.transact([{ kind: 'upsert', partitionKey, rowKey, columns: { data: '{' } }])
  const query = { streams: ['s'], limit: 10, matches: () => true }
  const one = await feed.events('s', 1, 1)

  const first = await readFeed(feed, { ...query, after: {} })
  const gap = await readFeed(feed, { ...query, after: first.next })
  const last = await readFeed(feed, { ...query, after: gap.next })

  expect(one).toMatchObject([{ sequence: expect.stringMatching(/3$/) }])
  expect(first).toMatchObject({ events: [{ sequence: expect.stringMatching(/1$/) }] })
  expect(gap).toMatchObject({ gap: { stream: 's', fromSeq: 2, oldestSeq: 3 } })
  expect(last).toMatchObject({ events: [{ sequence: expect.stringMatching(/3$/) }] })
})

test('a ticket that can’t be read is deleted with the expired ones', async () => {
  const table = await tableWith('Tickets', 'ticket', 'digest')

  const tickets = createTickets(table)
  await tickets.sweep()

  expect((await table.page({})).rows).toEqual([])
})
