import type { NewEvent } from '../../shared/events/event.ts'
import { createFeed, type Feed } from '../../shared/events/feed/feed.ts'
import type { Cursor } from '../../shared/events/feed/read.ts'
import { createTables } from '../../shared/platform/azure-table.ts'
import type { Table } from '../../shared/platform/table.ts'
import type { Clock } from '../../shared/platform/time.ts'
import { createMemoryTable } from '../memory-table.ts'
import { freshStorage } from '../storage.ts'

/** The tables that a feed is tested on: both must behave alike. */
export const kinds = ['in memory', 'on the table service'] as const
export type Kind = (typeof kinds)[number]

/** A new feed with its table, whose answers have the date of the clock. */
export async function openFeed(
  kind: Kind,
  clock?: Pick<Clock, 'now'>,
): Promise<{ feed: Feed; table: Table }> {
  const table =
    kind === 'in memory'
      ? createMemoryTable('Streams', clock)
      : createTables(
          { connectionString: await freshStorage() },
          clock && { dateOf: () => clock.now() },
        )('Streams')
  await table.create()
  return { feed: createFeed(table), table }
}

/** An event about a version of an item. */
export const eventOf = (item: string, version = 1, more: Partial<NewEvent> = {}): NewEvent => ({
  item,
  version,
  type: 'defender-relay.test',
  source: '/tenants/t/defender/things',
  time: '2026-03-01T00:00:00.1234567Z',
  detectedAt: '2026-03-01T00:00:01.000Z',
  data: { of: item },
  ...more,
})

/** The cursor after these seqs of a feed's streams. */
export async function cursorIn(
  feed: Pick<Feed, 'head'>,
  seqs: Record<string, number>,
): Promise<Cursor> {
  const positions = Object.entries(seqs).map(async ([stream, seq]) => {
    const { epoch } = await feed.head(stream)
    return [stream, { epoch, seq }] as const
  })
  return Object.fromEntries(await Promise.all(positions))
}
