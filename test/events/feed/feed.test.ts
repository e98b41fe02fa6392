import { describe, expect, test } from 'vitest'
import { createFeed, StreamMoved } from '../../../shared/events/feed/feed.ts'
import type { Step } from '../../../shared/events/feed/rows.ts'
import type { Operation, Table } from '../../../shared/platform/table.ts'
import { failing, Lost } from '../../exports/failing-table.ts'
import { eventOf, kinds, openFeed } from '../feed-on.ts'

const stream = 'things'

/** A new item and its event. */
const stepOf = (id: string, more: { text?: string; version?: number } = {}): Step => ({
  item: { id, columns: { state: 'Pending', text: more.text ?? '' } },
  event: eventOf(id, more.version, { data: { text: more.text ?? '' } }),
})
const stepsOf = (count: number, text = '') =>
  Array.from({ length: count }, (_, n) => stepOf(String(n).padStart(4, '0'), { text }))

/** A table that records what was sent to it. */
function counting(table: Table): { table: Table; sent: Operation[][] } {
  const sent: Operation[][] = []
  const transact: Table['transact'] = (operations) => {
    sent.push(operations)
    return table.transact(operations)
  }
  return { sent, table: { ...table, transact } }
}

describe.each(kinds)('a feed %s', (kind) => {
  test('a stream begins empty, and all first readers get the same head', async () => {
    const { feed } = await openFeed(kind)

    const [one, other] = await Promise.all([feed.head(stream), feed.head(stream)])

    expect(one).toMatchObject({ stream, next: 1, state: '' })
    expect(other.epoch).toBe(one.epoch)
    expect((await feed.head('others')).epoch).not.toBe(one.epoch)
  })

  test('an event is read as it was appended, with an id and its sequence', async () => {
    const { feed } = await openFeed(kind)
    const step = stepOf('a', { text: "it's <b>, ä😀" })

    await feed.append(await feed.head(stream), [step], 'there', { startedAt: 'now' })

    const [event] = await feed.events(stream, 0, 10)
    expect(event).toEqual({
      specversion: '1.0',
      id: expect.stringMatching(/^things-[0-9a-f]{26}$/),
      subject: 'a',
      source: '/tenants/t/defender/things',
      type: 'defender-relay.test',
      datacontenttype: 'application/json',
      time: '2026-03-01T00:00:00.1234567Z',
      detectedat: '2026-03-01T00:00:01.000Z',
      sequence: '000000000001',
      data: { text: "it's <b>, ä😀" },
    })
    expect(await feed.event(stream, 1)).toEqual(event)
    expect(await feed.event(stream, 2)).toBeUndefined()
    expect(await feed.head(stream)).toMatchObject({ next: 2, state: 'there' })
  })

  test('items are read in the order of their ids, with the selected columns, after any of them', async () => {
    const { feed } = await openFeed(kind)
    await feed.append(
      await feed.head(stream),
      ['b', 'c', 'a'].map((id) => stepOf(id)),
      '',
      {},
    )

    const wanted = await feed.items(stream, ['state'])
    const rest = await Array.fromAsync(feed.eachItem(stream, 'a'))

    expect(wanted).toEqual(['a', 'b', 'c'].map((id) => ({ id, columns: { state: 'Pending' } })))
    expect(rest.map(({ id }) => id)).toEqual(['b', 'c'])
    expect((await feed.item(stream, 'a'))?.state).toBe('Pending')
  })

  test('an item is deleted without an event', async () => {
    const { feed } = await openFeed(kind)
    const first = await feed.append(await feed.head(stream), [stepOf('a')], '', {})

    const second = await feed.append(first, [{ item: { id: 'a', columns: null } }], '', {})

    expect(await feed.item(stream, 'a')).toBeUndefined()
    expect(second.next).toBe(first.next)
  })

  test('hundreds of steps have consecutive seqs in their order', async () => {
    const { feed } = await openFeed(kind)

    const after = await feed.append(await feed.head(stream), stepsOf(130), 'there', {})

    const events = await feed.events(stream, 0, 1000)
    expect(after.next).toBe(131)
    expect(events.map(({ sequence }) => Number(sequence))).toEqual(
      Array.from({ length: 130 }, (_, n) => n + 1),
    )
    expect(events.map(({ subject }) => subject)).toEqual(stepsOf(130).map(({ item }) => item?.id))
    expect(new Set(events.map(({ id }) => id)).size).toBe(130)
  })

  test.each(['unsent', 'unanswered'] as const)(
    'when the second of three transactions is %s, whole transactions are stored and the state has not moved',
    async (failure) => {
      const { feed, table } = await openFeed(kind)
      const before = await feed.head(stream)
      const broken = createFeed(failing(table, [undefined, failure]))

      await expect(
        broken.append(before, stepsOf(130), 'there', { endedAt: 'now' }),
      ).rejects.toBeInstanceOf(Lost)

      const written = failure === 'unsent' ? 49 : 98
      expect(await feed.head(stream)).toMatchObject({ next: written + 1, state: '' })
      expect(await feed.items(stream)).toHaveLength(written)
      expect(await feed.events(stream, 0, 1000)).toHaveLength(written)
      expect(await feed.poll(stream)).toBeUndefined()
    },
  )

  test('a transaction is written whole or not at all', async () => {
    const { feed } = await openFeed(kind)
    const before = await feed.head(stream)
    const impossible: Step = { item: { id: 'nobody', columns: null } }

    await expect(
      feed.append(before, [...stepsOf(3), impossible], 'there', {}),
    ).rejects.toMatchObject({
      reason: 'missing',
    })

    expect(await feed.head(stream)).toEqual(before)
    expect(await feed.items(stream)).toEqual([])
    expect(await feed.events(stream, 0, 10)).toEqual([])
  })

  test('a writer that was overtaken gets StreamMoved and has written nothing', async () => {
    const { feed } = await openFeed(kind)
    const before = await feed.head(stream)
    await feed.append(before, [stepOf('a')], 'first', {})

    await expect(feed.append(before, [stepOf('b')], 'second', {})).rejects.toBeInstanceOf(
      StreamMoved,
    )

    expect((await feed.events(stream, 0, 10)).map(({ subject }) => subject)).toEqual(['a'])
    expect((await feed.head(stream)).state).toBe('first')
  })

  test('a writer overtaken between two transactions keeps the first, and the other writer continues after it', async () => {
    const { feed, table } = await openFeed(kind)
    const before = await feed.head(stream)
    let part = 0
    const overtaken = createFeed({
      ...table,
      async transact(operations) {
        part += 1
        if (part === 2) await feed.append(await feed.head(stream), [stepOf('other')], 'other', {})
        return table.transact(operations)
      },
    })

    await expect(overtaken.append(before, stepsOf(60), 'mine', {})).rejects.toBeInstanceOf(
      StreamMoved,
    )

    const events = await feed.events(stream, 0, 100)
    expect(events.map(({ subject }) => subject)).toEqual([
      ...stepsOf(49).map(({ item }) => item?.id),
      'other',
    ])
    expect((await feed.head(stream)).state).toBe('other')
  })

  test('a poll without changes leaves the head as it was and is recorded', async () => {
    const { feed } = await openFeed(kind)
    const before = await feed.append(await feed.head(stream), [stepOf('a')], 'there', {})

    const after = await feed.append(before, [], 'there', { endedAt: 'now' })

    expect(after).toEqual(before)
    expect((await feed.head(stream)).etag).toBe(before.etag)
    expect(await feed.poll(stream)).toEqual({ endedAt: 'now' })
  })

  test('of two appends under one mark at the same time one is written', async () => {
    const { feed } = await openFeed(kind)
    await feed.head(stream)
    const events = [eventOf('run', 1), eventOf('run', 2)]

    const did = await Promise.all(
      [1, 2, 3].map(() => feed.appendOnce(stream, 'published|r', events)),
    )
    const again = await feed.appendOnce(stream, 'published|r', events)

    expect(did.toSorted()).toEqual([false, false, true])
    expect(again).toBe(false)
    expect(await feed.events(stream, 0, 10)).toHaveLength(2)
  })

  test('an append under a mark leaves the state, and a lost answer causes no second append', async () => {
    const { feed, table } = await openFeed(kind)
    await feed.append(await feed.head(stream), [], 'there', {})
    const broken = createFeed(failing(table, [undefined, undefined, 'unanswered']))

    await expect(broken.appendOnce(stream, 'm', [eventOf('a')])).rejects.toBeInstanceOf(Lost)
    const again = await feed.appendOnce(stream, 'm', [eventOf('a')])

    expect(again).toBe(false)
    expect(await feed.head(stream)).toMatchObject({ next: 2, state: 'there' })
  })

  test('an append to a seq that exists fails instead of trying for ever', async () => {
    const { feed, table } = await openFeed(kind)
    await feed.head(stream)
    await table.transact([
      { kind: 'insert', partitionKey: stream, rowKey: 'event|000000000001', columns: {} },
    ])

    await expect(feed.appendOnce(stream, 'm', [eventOf('a')])).rejects.toMatchObject({
      reason: 'exists',
      index: 2,
    })
  })

  test('a counter never goes back', async () => {
    const { feed } = await openFeed(kind)

    await Promise.all([5, 9, 3, 7].map((seq) => feed.moveCounter(stream, 'dispatched', seq)))
    await feed.moveCounter(stream, 'dispatched', 4)

    expect((await feed.counter(stream, 'dispatched')).seq).toBe(9)
    expect((await feed.counter(stream, 'oldest')).seq).toBe(0)
  })

  test('events and marks up to a seq are deleted, the others and the items stay', async () => {
    const { feed } = await openFeed(kind)
    await feed.append(await feed.head(stream), stepsOf(120), '', {})
    await feed.appendOnce(stream, 'old', [eventOf('x')])
    await feed.appendOnce(stream, 'new', [eventOf('y')])

    await feed.deleteEvents(stream, 121)
    await feed.deleteEvents(stream, 121)

    expect((await feed.events(stream, 0, 10)).map(({ subject }) => subject)).toEqual(['y'])
    expect(await feed.items(stream)).toHaveLength(120)
    expect(await feed.appendOnce(stream, 'new', [eventOf('y')])).toBe(false)
    expect((await feed.head(stream)).next).toBe(123)
  })

  test('every event of an item is found, in order', async () => {
    const { feed } = await openFeed(kind)
    const steps = [stepOf('a'), stepOf("it's"), stepOf('a2')]
    const head = await feed.append(await feed.head(stream), steps, '', {})
    await feed.append(head, [stepOf("it's", { version: 2 })], '', {})

    expect(
      (await feed.eventsAbout(stream, "it's")).map(({ sequence }) => Number(sequence)),
    ).toEqual([2, 4])
  })

  test('data of any length is read whole, with surrogate pairs at every edge', async () => {
    const { feed } = await openFeed(kind)
    const texts = [31_985, 31_986, 31_987, 31_988, 31_989, 64_000].map(
      (length) => `${'x'.repeat(length)}😀😀`,
    )
    const steps = texts.map((text, n) =>
      stepOf(String(n), { text: `${text}${'ä'.repeat(40_000)}` }),
    )
    const items: Step[] = steps.map(({ item, event }) => ({
      item: { id: item?.id ?? '', columns: { state: 'Pending' } },
      ...(event ? { event } : {}),
    }))

    await feed.append(await feed.head(stream), items, '', {})

    const events = await feed.events(stream, 0, 10)
    expect(events.map(({ data }) => data)).toEqual(steps.map(({ event }) => event?.data))
  })

  test('large steps go in several transactions, each below the limit of the service', async () => {
    const { feed, table } = await openFeed(kind)
    const { table: counted, sent } = counting(table)
    const large = stepsOf(20, '"😀'.repeat(10_000))

    await createFeed(counted).append(
      await feed.head(stream),
      large.map(({ event, item }) => ({
        item: { id: item?.id ?? '', columns: {} },
        ...(event ? { event } : {}),
      })),
      'there',
      {},
    )

    expect(await feed.events(stream, 0, 100)).toHaveLength(20)
    expect(sent.length).toBeGreaterThan(1)
    for (const operations of sent)
      expect(Buffer.byteLength(JSON.stringify(operations))).toBeLessThan(4 * 1024 * 1024)
  })

  test('a transaction holds at most a hundred operations, and all of them when there is room', async () => {
    const { feed, table } = await openFeed(kind)
    const { table: counted, sent } = counting(table)

    await createFeed(counted).append(await feed.head(stream), stepsOf(500), 'there', {
      endedAt: 'now',
    })

    expect(sent.map((operations) => operations.length)).toEqual([
      ...Array.from({ length: 10 }, () => 99),
      22,
    ])
  })

  test('a reader gets at most as many events as it asked for, after its position', async () => {
    const { feed } = await openFeed(kind)
    await feed.append(await feed.head(stream), stepsOf(60), '', {})

    const some = await feed.events(stream, 10, 7)
    const last = await feed.events(stream, 55, 100)

    expect(some.map(({ sequence }) => Number(sequence))).toEqual([11, 12, 13, 14, 15, 16, 17])
    expect(last).toHaveLength(5)
    expect(await feed.events(stream, 60, 100)).toEqual([])
  })
})
