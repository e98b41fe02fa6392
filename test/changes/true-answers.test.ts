import { afterEach, describe, expect, test } from 'vitest'
import { noFaults } from '../../local/simulator/faults.ts'
import { changesSwitches } from '../../local/simulator/switches/changes.ts'
import { createTables } from '../../shared/platform/azure-table.ts'
import { noTimers, startTestStack, type TestStack } from '../stack.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

let stack: TestStack
afterEach(() => stack.stop())

/** Starts everything without timers that poll; the first polls are over. */
async function start(): Promise<void> {
  stack = await startTestStack({ fleet: { size: 3, files: 1 }, env: noTimers })
  await check('machine-actions')
  await check('investigations')
}

const play = (name: string) => stack.simulator.setFaults(changesSwitches[name]?.faults ?? {})

async function check(resource = 'machine-actions') {
  const { status, body } = await stack.post(`changes/${resource}/check`)
  expect(status).toBe(200)
  return body
}

/** A poll each minute. */
async function polls(minutes: number, resource?: string): Promise<void> {
  for (let minute = 0; minute < minutes; minute++) {
    stack.clock.advance(MINUTE)
    await check(resource)
  }
}

/** The events so far, as text. */
async function emitted(resource = 'machine-actions'): Promise<string[]> {
  const { body } = await stack.get('events?limit=1000')
  return body.events
    .filter(({ data }: { data: Record<string, unknown> }) => data.resource === resource)
    .map(({ subject, data }: { subject: string; data: Record<string, unknown> }) =>
      [subject, data.from ?? '-', '>', data.to ?? data.reason].join(' '),
    )
}

const lastPoll = async (resource = 'machine-actions') =>
  (await stack.get('status')).body.changes[resource].lastPoll
const ago = (ms: number) => new Date(stack.clock.now().getTime() - ms).toISOString()
const put = (...ids: string[]) => {
  for (const id of ids) stack.simulator.actions.put({ id, status: 'Pending' })
}
const many = (count: number) => Array.from({ length: count }, (_, n) => `a${n}`)

test('each fault has its own lines in the log, and none of another cause', async () => {
  await start()
  put(...many(7))
  stack.simulator.investigations.put({ id: '7', state: 'Running' })
  for (const [name, { expects }] of Object.entries(changesSwitches)) {
    stack.simulator.setFaults(noFaults)
    await polls(2)
    await polls(1, 'investigations')
    const before = stack.lines.length

    play(name)
    for (let minute = 0; minute < 3; minute++) {
      stack.clock.advance(MINUTE)
      for (const resource of ['machine-actions', 'investigations'])
        await stack.post(`changes/${resource}/check`)
    }

    const lines = stack.lines.slice(before).join('\n')
    for (const line of expects?.appear ?? []) expect.soft(lines, name).toContain(`${line} {`)
    for (const line of expects?.never ?? []) expect.soft(lines, name).not.toContain(`${line} {`)
  }
})

describe('a list', () => {
  test.each(['nameless-links', 'moving-list'])('has all its rows in spite of %s', async (name) => {
    await start()
    put(...many(30))
    play(name)

    const { listed } = await check()

    expect(listed).toBe(30)
    expect((await emitted()).toSorted()).toEqual(
      many(30)
        .map((id) => `${id} - > Pending`)
        .toSorted(),
    )
  })

  test('that has everything, whatever was asked for, makes nothing old news', async () => {
    await start()
    for (const id of many(30)) {
      const time = ago((10 + Number(id.slice(1))) * DAY)
      const times = { creationDateTimeUtc: time, lastUpdateDateTimeUtc: time }
      stack.simulator.actions.put({ id, status: 'Succeeded', ...times })
    }
    put('new')
    play('ignored-filter')

    await check()

    expect(await emitted()).toEqual(['new - > Pending'])
    // In both lists.
    expect(await lastPoll()).toMatchObject({ listed: 1, outside: 60, unreadable: 0 })
  })

  test('whose ids are in capitals has the same items', async () => {
    await start()
    put('a0', 'a1')
    await check()
    play('capital-ids')
    stack.simulator.actions.change('a1', { status: 'Failed' })

    await polls(2)

    expect((await emitted()).toSorted()).toEqual([
      'a0 - > Pending',
      'a1 - > Pending',
      'a1 Pending > Failed',
    ])
  })

  test('with an unreadable creation time has null for it, and the poll counts it', async () => {
    await start()
    put('a0')
    play('unreadable-times')

    await check()
    const { body } = await stack.get('changes/machine-actions/items/a0')

    expect(body.item).toMatchObject({ createdAt: null, item: { creationDateTimeUtc: 'yesterday' } })
    expect((await lastPoll()).badTimes).toBeGreaterThan(0)
    expect(stack.lines.join('\n')).toContain('rows rejected {"source":"machine-actions"')
  })
})

describe('an upstream that goes back', () => {
  test('in update time is believed after five minutes', async () => {
    await start()
    put('a0')
    await check()
    stack.clock.advance(MINUTE)
    stack.simulator.actions.change('a0', { status: 'Succeeded' })
    play('times-go-back')

    await polls(4)
    const early = await emitted()
    await polls(3)

    expect(early).toEqual(['a0 - > Pending'])
    expect(await emitted()).toEqual(['a0 - > Pending', 'a0 Pending > Succeeded'])
  })

  test('in its lists, for an hour, is not: the item is asked for by its id', async () => {
    await start()
    stack.simulator.investigations.put({ id: '7', state: 'Running' })
    await check('investigations')
    stack.clock.advance(MINUTE)
    stack.simulator.investigations.change('7', { state: 'Benign' })
    await check('investigations')
    stack.clock.advance(30 * MINUTE)
    play('cached-lists')

    await polls(20, 'investigations')

    expect(await emitted('investigations')).toEqual(['7 - > Running', '7 Running > Benign'])
  })

  test('from one end to another is believed within ten minutes, also for an old item that only the hourly list has', async () => {
    await start()
    stack.simulator.investigations.put({ id: '7', state: 'Benign', startTime: ago(DAY) })
    stack.simulator.investigations.put({ id: '8', state: 'Benign' })
    await check('investigations')
    const before = await emitted('investigations')
    stack.simulator.investigations.change('7', { state: 'Failed' })
    stack.clock.advance(HOUR)

    await polls(10, 'investigations')

    expect(await emitted('investigations')).toEqual([...before, '7 Benign > Failed'])
  })

  test('by knowing no open item any more is a problem with numbers, and none is gone', async () => {
    await start()
    put(...many(7))
    await check()
    play('unknown-open-items')

    await polls(30)
    const { sections } = (await stack.get('status')).body
    const during = await emitted()
    stack.simulator.setFaults({ unknownOpenItems: false })
    await polls(2)

    const titles = sections.changes.problems.map(({ title }: { title: string }) => title)
    expect(titles).toContain('Defender does not know 7 of 7 open machine-actions, all at once')
    expect(stack.lines.join('\n')).toContain('items missing {"resource":"machine-actions"')
    expect(during).toHaveLength(7)
    expect(await emitted()).toEqual(during)
  })
})

describe('an item', () => {
  test('is the same under each of its names', async () => {
    await start()
    put('ab12')
    stack.simulator.investigations.put({
      id: '7',
      state: 'Running',
      triggeringAlertId: 'da637_1',
    })
    await check()
    await check('investigations')
    stack.clock.advance(MINUTE)

    const answers = [
      ['machine-actions/items/ab12', 'machine-actions/items/AB12'],
      ['investigations/items/7', 'investigations/items/da637_1'],
    ].map((paths) =>
      Promise.all(paths.map(async (path) => (await stack.get(`changes/${path}`)).body)),
    )

    for (const [byId, byOtherName] of await Promise.all(answers)) {
      expect(byId.item.version).toBe(1)
      expect(byOtherName).toEqual(byId)
    }
  })

  test('of a live response has its commands, and no argument of a script', async () => {
    await start()
    put('a0')
    play('live-responses')

    await check()
    const { body } = await stack.get('changes/machine-actions/items/a0')

    const commands = [
      { index: 0, type: 'RunScript', status: 'Completed', error: null },
      { index: 1, type: 'RunScript', status: 'Failed', error: 'The script ended with code 1.' },
    ]
    expect(body.item.commands).toEqual(commands)
    expect(body.events[0].data.commands).toEqual(commands)
    expect(body.item.item.commands[0].command).toEqual({
      type: 'RunScript',
      params: [
        { key: 'ScriptName', value: '[removed]' },
        { key: 'Args', value: '[removed]' },
      ],
    })
    expect(JSON.stringify([body, stack.lines])).not.toContain('canary')
  })

  test('with a stored row that can not be read is written again, and stops no poll', async () => {
    await start()
    put('a0', 'a1')
    await check()
    const streams = createTables({ connectionString: stack.storage })('Streams')
    const row = await streams.get('machine-actions', 'item|a0')
    const { version: _version, ...columns } = row?.columns ?? {}
    const key = { partitionKey: 'machine-actions', rowKey: 'item|a0' }
    await streams.transact([{ kind: 'upsert', ...key, columns }])
    // Another instance reads the rows again.
    stack.configure()
    const { body: before } = await stack.get('changes/machine-actions/items')

    stack.clock.advance(MINUTE)
    await check()
    const { body: after } = await stack.get('changes/machine-actions/items')

    // In one order or the other: both were made at about the same time.
    const ids = (body: { items: { id: string }[] }) => body.items.map(({ id }) => id).sort()
    expect([ids(before), ids(after)]).toEqual([['a1'], ['a0', 'a1']])
    expect((await emitted()).toSorted()).toEqual([
      'a0 - > Pending',
      'a0 - > Pending',
      'a1 - > Pending',
    ])
  })
})

describe('the list of items', () => {
  test.each([
    ['machine-actions', 'state=Bogus', /query\.state.*Pending/],
    ['machine-actions', 'state=Pending,Bogus', /query\.state.*Pending/],
    ['machine-actions', 'triggeringAlertId=x', /only a filter of investigations/],
    ['investigations', 'requestor=x', /only a filter of machine-actions/],
  ])('of %s refuses %s, which no item could pass', async (resource, query, words) => {
    await start()

    const { status, body } = await stack.get(`changes/${resource}/items?${query}`)

    expect(status).toBe(400)
    expect(JSON.stringify(body.errors)).toMatch(words)
  })

  test('takes several states or types, one requestor, and a state that only an item has', async () => {
    await start()
    const rest = {
      a0: { type: 'Isolate' },
      a1: { type: 'Offboard' },
      a2: { requestor: 'Doe,Jane' },
    }
    for (const [id, status] of Object.entries({ a0: 'Pending', a1: 'Failed', a2: 'Paused' }))
      stack.simulator.actions.put({ id, status, ...rest[id as 'a0'] })
    await check()
    const idsOf = async (query: string) =>
      (await stack.get(`changes/machine-actions/items?${query}`)).body.items
        .map(({ id }: { id: string }) => id)
        .sort()

    expect(await idsOf('state=pending, failed')).toEqual(['a0', 'a1'])
    expect(await idsOf('type=Isolate,offboard')).toEqual(['a0', 'a1'])
    expect(await idsOf('type=Offboard')).toEqual(['a1'])
    // A person may have a comma in the name.
    expect(await idsOf('requestor=Doe,Jane')).toEqual(['a2'])
    expect(await idsOf('state=Paused')).toEqual(['a2'])
    expect(await idsOf('state=Succeeded')).toEqual([])
  })
})
