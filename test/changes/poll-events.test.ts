import { beforeEach, describe, expect, test } from 'vitest'
import { poll } from '../../shared/changes/poll.ts'
import type { Resource } from '../../shared/changes/resource.ts'
import { investigations } from '../../shared/changes/resources/investigations.ts'
import { machineActions } from '../../shared/changes/resources/machine-actions.ts'
import { createFeed } from '../../shared/events/feed/feed.ts'
import { type Kind, kinds, openFeed } from '../events/feed-on.ts'
import { action, createContext, createItemStore, investigation } from './item-store.ts'
import { createModelClock } from './model.ts'

const HOUR = 60

/** A context whose first poll is over. */
async function begin(resource: Resource, kind: Kind = 'in memory') {
  const clock = createModelClock()
  const { table } = await openFeed(kind, clock)
  const store = createItemStore(resource, clock)
  const context = createContext({ table, clock, source: store.source, resource })
  await poll(context)
  const events = () => createFeed(table).events(resource.name, 0, 1000)
  return { clock, store, context, events }
}

describe('the event of a machine action', () => {
  let world: Awaited<ReturnType<typeof begin>>
  beforeEach(async () => {
    world = await begin(machineActions)
  })

  test('it has every promised field and the raw item', async () => {
    const { store, context, events } = world
    const raw = {
      ...action('a', 'Pending', '2026-03-01T00:00:00.1234567Z', '2026-03-01T00:00:00.2Z'),
      computerDnsName: 'pc1',
      requestorComment: 'why',
      scope: 'Full',
      requestSource: 'Portal',
      errorHResult: -5,
      relatedFileInfo: { fileIdentifier: 'f', fileIdentifierType: 'Sha1' },
      commands: [],
      externalId: null,
    }
    store.put(raw)

    await poll(context)

    const [event] = await events()
    expect(event).toEqual({
      specversion: '1.0',
      id: expect.any(String),
      datacontenttype: 'application/json',
      subject: 'a',
      type: 'defender-relay.machine-action.appeared',
      source: '/tenants/tenant/defender/machine-actions',
      time: '2026-03-01T00:00:00.2Z',
      detectedat: '2026-03-01T00:00:00.000Z',
      sequence: '000000000001',
      data: {
        id: 'a',
        resource: 'machine-actions',
        version: 1,
        from: null,
        to: 'Pending',
        terminal: false,
        reason: null,
        machineId: 'm1',
        computerDnsName: 'pc1',
        type: 'RunAntiVirusScan',
        requestor: 'somebody@example.com',
        requestorComment: 'why',
        scope: 'Full',
        requestSource: 'Portal',
        errorHResult: -5,
        relatedFileInfo: { fileIdentifier: 'f', fileIdentifierType: 'Sha1' },
        commands: [],
        createdAt: '2026-03-01T00:00:00.1234567Z',
        updatedAt: '2026-03-01T00:00:00.2Z',
        item: raw,
      },
    })
  })

  test('a change has both states, the end is marked, and the time is the last update', async () => {
    const { store, context, events } = world
    store.put(action('a', 'Pending', '2026-03-01T00:00:00Z'))
    await poll(context)
    store.put(action('a', 'Canceled', '2026-03-01T00:00:00Z', '2026-03-01T00:00:00.9Z'))

    await poll(context)

    expect((await events()).at(-1)).toMatchObject({
      type: 'defender-relay.machine-action.changed',
      time: '2026-03-01T00:00:00.9Z',
      data: {
        from: 'Pending',
        to: 'Cancelled',
        terminal: true,
        version: 2,
        item: { status: 'Canceled' },
      },
    })
  })

  test('the older name of the update time is read if the other is absent', async () => {
    const { store, context, events } = world
    const { lastUpdateDateTimeUtc: _absent, ...row } = action(
      'a',
      'Pending',
      '2026-03-01T00:00:00Z',
    )
    store.put({ ...row, id: 'a', lastUpdateTimeUtc: '2026-03-01T00:00:00.5Z' })

    await poll(context)

    expect((await events())[0]).toMatchObject({
      time: '2026-03-01T00:00:00.5Z',
      data: { updatedAt: '2026-03-01T00:00:00.5Z' },
    })
  })

  test('an overdue one has its open time and its limit', async () => {
    const { clock, store, context, events } = world
    store.put(action('a', 'Pending', '2026-03-01T00:00:00Z'))
    await poll(context)
    clock.advance(74 * HOUR)

    await poll(context)

    expect((await events()).at(-1)).toMatchObject({
      type: 'defender-relay.machine-action.overdue',
      time: '2026-03-04T02:00:00.000Z',
      data: { from: 'Pending', to: 'Pending', openSince: '2026-03-01T00:00:00Z', limitHours: 73 },
    })
  })

  test('a gone one keeps the last known data', async () => {
    const { clock, store, context, events } = world
    store.put(action('a', 'Pending', '2026-03-01T00:00:00Z'))
    await poll(context)
    store.rows.clear()
    await poll(context)
    clock.advance(15)

    await poll(context)

    expect((await events()).at(-1)).toMatchObject({
      type: 'defender-relay.machine-action.gone',
      time: '2026-03-01T00:15:00.000Z',
      data: {
        from: 'Pending',
        to: null,
        reason: 'notFound',
        terminal: false,
        machineId: 'm1',
        item: { id: 'a' },
      },
    })
  })

  test('a text that is not a time is null beside the raw value, and does not become the time of an event', async () => {
    const { store, context, events } = world
    store.put(action('a', 'Pending', 'soon', 'never'))

    await poll(context)

    expect((await events())[0]).toMatchObject({
      time: '2026-03-01T00:00:00.000Z',
      data: { createdAt: null, updatedAt: null, item: { lastUpdateDateTimeUtc: 'never' } },
    })
  })
})

describe('the event of an investigation', () => {
  test('it has every promised field; its time is the start, then the end', async () => {
    const { clock, store, context, events } = await begin(investigations)
    const start = clock.now()
    store.put(investigation('7', 'Running', start))
    await poll(context)
    clock.advance(5)
    store.put(investigation('7', 'PendingApproval', start))
    await poll(context)
    clock.advance(5)
    const raw = investigation('7', 'Benign', start, clock.now())
    store.put(raw)
    clock.advance(1)

    await poll(context)

    const all = await events()
    expect(all.map(({ time }) => time.slice(11, 16))).toEqual(['00:00', '00:05', '00:10'])
    expect(all.at(-1)?.data).toEqual({
      id: '7',
      resource: 'investigations',
      version: 3,
      from: 'PendingApproval',
      to: 'Benign',
      terminal: true,
      reason: null,
      machineId: 'm1',
      computerDnsName: 'pc1',
      triggeringAlertId: 'alert-7',
      statusDetails: null,
      cancelledBy: null,
      startedAt: start.toISOString(),
      endedAt: '2026-03-01T00:10:00.000Z',
      item: raw,
    })
  })

  test('an id that is sent as a number becomes text', async () => {
    const { store, context, events } = await begin(investigations)
    store.rows.set('7', { ...investigation('7', 'Running', null), id: 7 as unknown as string })

    await poll(context)

    expect((await events())[0]).toMatchObject({ subject: '7', data: { id: '7', startedAt: null } })
  })
})

describe.each(kinds)('items of any size, %s', (kind) => {
  test('a raw item over 256 KiB is omitted and marked so, a smaller one is sent whole', async () => {
    const { store, context, events } = await begin(machineActions, kind)
    const commands = (length: number) => [{ output: 'ä"'.repeat(length / 3) }]
    store.put({
      ...action('large', 'Pending', '2026-03-01T00:00:00Z'),
      commands: commands(270_000),
    })
    store.put({
      ...action('small', 'Pending', '2026-03-01T00:00:00Z'),
      commands: commands(255_000),
    })

    await poll(context)

    const [large, small] = await events()
    expect(large?.data).toMatchObject({
      id: 'large',
      item: null,
      itemOmitted: true,
      machineId: 'm1',
    })
    expect(small?.data.item).toEqual(store.rows.get('small'))
    expect(small?.data).not.toHaveProperty('itemOmitted')
  })

  test('fields that are too large for a row are cut, named, and stop no poll', async () => {
    const { store, context, events } = await begin(machineActions, kind)
    const huge = 'ä'.repeat(600_000)
    store.put({
      ...action('a', 'Pending', '2026-03-01T00:00:00Z'),
      requestorComment: huge,
      relatedFileInfo: { huge },
    })

    await poll(context)

    const [event] = await events()
    expect(String(event?.data.requestorComment)).toMatch(/^ä{1000,}$/)
    expect(event?.data).toMatchObject({
      relatedFileInfo: null,
      fieldsCut: ['requestorComment', 'relatedFileInfo'],
      item: null,
      itemOmitted: true,
    })
  })
})

describe('resources', () => {
  test.each([
    [
      machineActions,
      "status eq 'Pending' or status eq 'InProgress'",
      'creationDateTimeUtc ge 2026-03-01T00:00:00.000Z',
    ],
    [
      investigations,
      "state eq 'Unknown' or state eq 'Running' or state eq 'PendingApproval' or state eq 'PendingResource' or state eq 'Queued'",
      'startTime ge 2026-03-01T00:00:00.000Z',
    ],
  ])('filter by documented fields only', (resource, open, created) => {
    expect(resource.filter({ openNow: true })).toBe(open)
    expect(resource.filter({ createdSince: '2026-03-01T00:00:00.000Z' })).toBe(created)
  })

  test.each([machineActions, investigations])(
    '$name: no state is both open and terminal',
    (resource) => {
      expect(
        resource.openStates.filter((state) => resource.terminalStates.includes(state)),
      ).toEqual([])
    },
  )
})
