import { describe, expect, test } from 'vitest'
import { investigations } from '../../shared/changes/resources/investigations.ts'
import { machineActions } from '../../shared/changes/resources/machine-actions.ts'
import { eventId } from '../../shared/events/event.ts'
import { createDetector, seenItem } from './detector.ts'

const MINUTE = 1 / 60

describe('states', () => {
  test('a new item appears, and a new state of it is a change', () => {
    const actions = createDetector(machineActions)

    const first = actions.events({ hours: 1, seen: [seenItem('a', 'Pending')] })
    const second = actions.events({
      hours: 2,
      seen: [seenItem('a', 'InProgress', { updated: 1.5 })],
    })
    const third = actions.events({ hours: 3, seen: [seenItem('a', 'Succeeded', { updated: 2.5 })] })

    expect(first).toEqual(['a appeared - > Pending'])
    expect(second).toEqual(['a changed Pending > InProgress'])
    expect(third).toEqual(['a changed InProgress > Succeeded'])
  })

  test('an item that is first seen in a terminal state appears in it', () => {
    expect(
      createDetector(machineActions).events({ hours: 1, seen: [seenItem('a', 'Failed')] }),
    ).toEqual(['a appeared - > Failed'])
  })

  test.each([
    ['its update time', { ...seenItem('a', 'Pending', { updated: 1 }) }],
    ['its raw fields', { ...seenItem('a', 'Pending'), raw: { requestor: 'somebody' } }],
    ['its creation time', { ...seenItem('a', 'Pending'), createdAt: '2026-03-01T00:00:00.1Z' }],
  ])('there is no event when only %s changed', (_what, moved) => {
    const actions = createDetector(machineActions)
    actions.poll({ hours: 1, seen: [seenItem('a', 'Pending')] })

    expect(actions.events({ hours: 2, seen: [moved] })).toEqual([])
  })

  test('nothing is written for an item without a change', () => {
    const actions = createDetector(machineActions)
    actions.poll({ hours: 1, seen: [seenItem('a', 'Pending'), seenItem('b', 'Succeeded')] })

    const changes = actions.poll({
      hours: 2,
      seen: [seenItem('a', 'Pending', { updated: 1.5 }), seenItem('b', 'Succeeded')],
    })

    expect(changes).toEqual([])
  })

  test('a row of a stale replica is ignored, and a later change has its event', () => {
    const actions = createDetector(machineActions)
    actions.poll({ hours: 1, seen: [seenItem('a', 'InProgress', { updated: 1 })] })

    const stale = actions.poll({ hours: 2, seen: [seenItem('a', 'Pending', { updated: 0.5 })] })
    const later = actions.events({ hours: 3, seen: [seenItem('a', 'Succeeded', { updated: 2 })] })

    expect(stale.map(({ kind, item }) => [kind, item?.state])).toEqual([[undefined, 'InProgress']])
    expect(later).toEqual(['a changed InProgress > Succeeded'])
  })

  test.each([
    ['2026-03-01T00:00:00.1234568Z', '2026-03-01T00:00:00.1234567Z', false],
    ['2026-03-01T00:00:00.1234567Z', '2026-03-01T00:00:00.1234568Z', true],
    ['2026-03-01T00:00:00.1Z', '2026-03-01T00:00:00Z', false],
    ['2026-03-01T00:00:00Z', '2026-03-01T00:00:00.1Z', true],
    ['2026-03-01T00:00:00.5Z', '2026-03-01T00:00:00.4999999Z', false],
    ['2026-03-01T00:00:00.12Z', '2026-03-01T00:00:00.1200000Z', true],
  ])('after %s, a row of %s is accepted: %s', (before, after, isAccepted) => {
    const actions = createDetector(machineActions)
    actions.poll({ hours: 1, seen: [{ ...seenItem('a', 'Pending'), updatedAt: before }] })

    const events = actions.events({
      hours: 2,
      seen: [{ ...seenItem('a', 'Succeeded'), updatedAt: after }],
    })

    expect(events).toHaveLength(isAccepted ? 1 : 0)
  })

  test('after a row without an update time, older rows are still ignored', () => {
    const actions = createDetector(machineActions)
    actions.poll({ hours: 1, seen: [seenItem('a', 'InProgress', { updated: 1 })] })

    const timeless = actions.events({
      hours: 2,
      seen: [seenItem('a', 'Succeeded', { updated: null })],
    })
    const stale = actions.events({ hours: 3, seen: [seenItem('a', 'Pending', { updated: 0.5 })] })

    expect(timeless).toEqual(['a changed InProgress > Succeeded'])
    expect(stale).toEqual([])
  })

  test('an unknown state is passed on, is not terminal, and its item stays', () => {
    const actions = createDetector(machineActions)

    const events = [
      ...actions.events({ hours: 1, seen: [seenItem('a', 'Paused')] }),
      ...actions.events({ hours: 200, windowStart: new Date('2027-01-01') }),
      ...actions.events({ hours: 201, seen: [seenItem('a', 'Benign, Failed', { updated: 2 })] }),
    ]

    expect(events).toEqual(['a appeared - > Paused', 'a changed Paused > Benign, Failed'])
    expect([...actions.known.keys()]).toEqual(['a'])
  })

  test('changes are in the order in which they happened, then by id', () => {
    const actions = createDetector(machineActions)
    const seen = [
      { ...seenItem('d', 'Pending'), updatedAt: '2026-03-01T00:00:00.12Z' },
      { ...seenItem('c', 'Pending'), updatedAt: '2026-03-01T00:00:00.1Z' },
      { ...seenItem('b', 'Pending'), updatedAt: '2026-03-01T00:00:00.1000000Z' },
      { ...seenItem('a', 'Pending'), updatedAt: '2026-03-01T00:00:00.1100001Z' },
    ]

    expect(actions.poll({ hours: 1, seen }).map(({ id }) => id)).toEqual(['b', 'c', 'a', 'd'])
  })
})

describe('steps back', () => {
  /** A row of an investigation: it has no update time. */
  const seen7 = (state: string) => [seenItem('7', state, { updated: null })]

  test('an investigation leaves a terminal state when three polls over five minutes say so', () => {
    const detector = createDetector(investigations)
    const pollAt = (minute: number, state: string) =>
      detector.events({ hours: minute * MINUTE, seen: seen7(state) })
    pollAt(0, 'PartiallyInvestigated')

    const early = [1, 2, 3, 5].flatMap((minute) => pollAt(minute, 'Running'))
    const late = pollAt(6, 'Running')

    expect(early).toEqual([])
    expect(late).toEqual(['7 changed PartiallyInvestigated > Running'])
  })

  test('two polls are too few, however far apart', () => {
    const detector = createDetector(investigations)
    const pollAt = (hours: number, state: string) => detector.events({ hours, seen: seen7(state) })
    pollAt(0, 'Benign')

    const looks = [1, 9, 10].map((hours) => pollAt(hours, 'Running'))

    expect(looks).toEqual([[], [], ['7 changed Benign > Running']])
  })

  test('a list alone is not enough, however long: it may come from a cache', () => {
    const detector = createDetector(investigations)
    detector.poll({ hours: 0, seen: seen7('Benign') })

    const listed = [1, 2, 3, 4].flatMap((hours) =>
      detector.events({ hours, seen: seen7('Running'), confirmed: [] }),
    )
    const askedById = detector.events({ hours: 5, seen: seen7('Running'), confirmed: ['7'] })

    expect(listed).toEqual([])
    expect(askedById).toEqual(['7 changed Benign > Running'])
  })

  test('the terminal state in between, or another state, starts the looks again', () => {
    const detector = createDetector(investigations)
    const states = ['Benign', 'Running', 'Running', 'Benign', 'Running', 'Running', 'Queued']
    states.push('Running', 'Failed', 'Failed', 'Failed')

    const events = states.flatMap((state, hours) =>
      detector.events({ hours, seen: seen7(state) }).map((text) => `${hours}: ${text}`),
    )

    expect(events).toEqual(['0: 7 appeared - > Benign', '10: 7 changed Benign > Failed'])
  })

  test('an action whose update time went back for good is believed', () => {
    const actions = createDetector(machineActions)
    actions.poll({ hours: 1, seen: [seenItem('a', 'Pending', { updated: 1 + MINUTE })] })
    const pollAt = (minute: number) =>
      actions.events({
        hours: 1 + minute * MINUTE,
        seen: [seenItem('a', 'Succeeded', { updated: 1 })],
      })

    expect([2, 3, 4, 6].flatMap(pollAt)).toEqual([])
    expect(pollAt(7)).toEqual(['a changed Pending > Succeeded'])
    expect(pollAt(8)).toEqual([])
  })

  test('an action that is gone comes back with an older time when that lasts', () => {
    const actions = createDetector(machineActions)
    const row = seenItem('a', 'Pending', { updated: 1 })
    actions.poll({ hours: 1, seen: [seenItem('a', 'Pending', { updated: 2 })] })
    actions.poll({ hours: 2, missing: ['a'] })
    actions.poll({ hours: 3, missing: ['a'] })

    const events = [4, 5, 6].map((hours) => actions.events({ hours, seen: [row] }))

    expect(events).toEqual([[], [], ['a appeared - > Pending']])
  })

  test('about an ended item that the upstream does not know any more are forgotten', () => {
    const detector = createDetector(investigations)
    detector.poll({ hours: 0, seen: seen7('Benign') })
    detector.poll({ hours: 1, seen: seen7('Failed') })

    const changes = detector.poll({ hours: 2, missing: ['7'] })

    expect(changes).toMatchObject([{ id: '7', item: { state: 'Benign', doubt: null } }])
    expect(changes[0]?.kind).toBeUndefined()
  })

  test('an older row in the same state is no doubt: the item is overdue as usual', () => {
    const actions = createDetector(machineActions)
    actions.poll({ hours: 1, seen: [seenItem('a', 'Pending', { updated: 1 })] })

    const events = actions.events({ hours: 80, seen: [seenItem('a', 'Pending', { updated: 0 })] })

    expect(events).toEqual(['a overdue Pending > Pending'])
  })

  test('after a clock was set back, the looks start again', () => {
    const detector = createDetector(investigations)
    const pollAt = (hours: number, state: string) => detector.events({ hours, seen: seen7(state) })
    pollAt(30, 'Benign')
    pollAt(31, 'Running')
    pollAt(32, 'Running')

    expect([3, 4, 5].map((hours) => pollAt(hours, 'Running'))).toEqual([
      [],
      [],
      ['7 changed Benign > Running'],
    ])
  })

  test('a machine action that leaves a terminal state with a newer time has its event at once', () => {
    const actions = createDetector(machineActions)
    actions.poll({ hours: 1, seen: [seenItem('a', 'Failed')] })

    expect(actions.events({ hours: 2, seen: [seenItem('a', 'Pending', { updated: 1 })] })).toEqual([
      'a changed Failed > Pending',
    ])
  })
})

describe('items that stay open', () => {
  test('a machine action that is open for more than 73 hours is overdue, once', () => {
    const actions = createDetector(machineActions)
    const pollAt = (hours: number) => actions.events({ hours, seen: [seenItem('a', 'Pending')] })

    expect([pollAt(1), pollAt(73), pollAt(73 + MINUTE), pollAt(74), pollAt(500)].flat()).toEqual([
      'a appeared - > Pending',
      'a overdue Pending > Pending',
    ])
  })

  test('overdue is sent once, even if the state changes afterwards', () => {
    const actions = createDetector(machineActions)
    actions.poll({ hours: 1, seen: [seenItem('a', 'Pending')] })
    actions.poll({ hours: 80, seen: [seenItem('a', 'Pending')] })

    const events = [
      ...actions.events({ hours: 81, seen: [seenItem('a', 'InProgress', { updated: 80.5 })] }),
      ...actions.events({ hours: 200, seen: [seenItem('a', 'InProgress', { updated: 80.5 })] }),
    ]

    expect(events).toEqual(['a changed Pending > InProgress'])
  })

  test('an investigation may wait seven days for an approval before it is overdue', () => {
    const detector = createDetector(investigations)
    const pollAt = (hours: number) =>
      detector.events({ hours, seen: [seenItem('7', 'PendingApproval', { updated: null })] })

    expect([pollAt(1), pollAt(74), pollAt(168), pollAt(168 + MINUTE), pollAt(169)].flat()).toEqual([
      '7 appeared - > PendingApproval',
      '7 overdue PendingApproval > PendingApproval',
    ])
  })

  test('without a start time, an item is open since it was first seen', () => {
    const detector = createDetector(investigations)
    const pollAt = (hours: number) =>
      detector.events({ hours, seen: [{ ...seenItem('7', 'Queued'), createdAt: null }] })

    expect([pollAt(100), pollAt(173), pollAt(173 + MINUTE)].flat()).toEqual([
      '7 appeared - > Queued',
      '7 overdue Queued > Queued',
    ])
  })

  test('an item in a terminal state is never overdue', () => {
    const actions = createDetector(machineActions)
    actions.poll({ hours: 1, seen: [seenItem('a', 'Succeeded')] })

    expect(actions.poll({ hours: 1000, seen: [seenItem('a', 'Succeeded')] })).toEqual([])
  })

  test('after 30 days without a change an item is gone as untracked, and only once while lists return it', () => {
    const actions = createDetector(machineActions)
    const pollAt = (hours: number) =>
      actions.events({ hours, seen: [seenItem('a', 'Pending', { updated: 10 })] })

    const events = [
      pollAt(0),
      pollAt(80),
      pollAt(730),
      pollAt(730 + MINUTE),
      pollAt(731),
      pollAt(2000),
      pollAt(4000),
    ].flat()

    expect(events).toEqual([
      'a appeared - > Pending',
      'a overdue Pending > Pending',
      'a gone Pending > untracked',
    ])
  })

  test('a newer update time starts the 30 days again, and later rows are compared with it', () => {
    const actions = createDetector(machineActions)
    actions.poll({ hours: 0, seen: [seenItem('a', 'Pending')] })
    actions.poll({ hours: 80, seen: [seenItem('a', 'Pending')] })
    const pollAt = (hours: number) =>
      actions.events({ hours, seen: [seenItem('a', 'Pending', { updated: 700 })] })

    expect([pollAt(700), pollAt(1400), pollAt(1421), pollAt(1422), pollAt(3000)].flat()).toEqual([
      'a gone Pending > untracked',
    ])
  })

  test('an untracked item that one list leaves out does not appear again', () => {
    const actions = createDetector(machineActions)
    const seen = [seenItem('a', 'Pending')]
    for (const hours of [0, 100, 721]) actions.poll({ hours, seen })

    const events = [
      ...actions.events({ hours: 722 }),
      ...actions.events({ hours: 723, seen }),
      ...actions.events({ hours: 760 }),
      ...actions.events({ hours: 761, seen }),
    ]

    expect(events).toEqual([])
  })

  test('an untracked item is pruned when no list returns it for a day', () => {
    const actions = createDetector(machineActions)
    for (const hours of [0, 100, 721]) actions.poll({ hours, seen: [seenItem('a', 'Pending')] })

    actions.poll({ hours: 722 })
    actions.poll({ hours: 745 })
    const before = actions.known.size
    const events = actions.events({ hours: 746 })

    expect([before, actions.known.size, events]).toEqual([1, 0, []])
  })

  test('an untracked item that changes appears again, and is not overdue a second time', () => {
    const actions = createDetector(machineActions)
    for (const hours of [0, 100, 721]) actions.poll({ hours, seen: [seenItem('a', 'Pending')] })

    const events = [
      ...actions.events({ hours: 722, seen: [seenItem('a', 'InProgress', { updated: 721.5 })] }),
      ...actions.events({ hours: 723, seen: [seenItem('a', 'InProgress', { updated: 721.5 })] }),
    ]

    expect(events).toEqual(['a appeared - > InProgress'])
  })
})

describe('items that are missing upstream', () => {
  const open = (count: number) =>
    Array.from({ length: count }, (_, n) => seenItem(`a${n}`, 'Pending'))
  const ids = (count: number) => open(count).map(({ id }) => id)

  test('one is gone after two polls that are 15 minutes apart', () => {
    const actions = createDetector(machineActions)
    actions.poll({ hours: 1, seen: open(1) })
    const pollAt = (minutes: number) =>
      actions.events({ hours: 2 + minutes * MINUTE, missing: ['a0'] })

    expect([pollAt(0), pollAt(14), pollAt(15), pollAt(16), pollAt(100)].flat()).toEqual([
      'a0 gone Pending > notFound',
    ])
  })

  test('one that is seen in between is not gone', () => {
    const actions = createDetector(machineActions)
    actions.poll({ hours: 1, seen: open(1) })
    actions.poll({ hours: 2, missing: ['a0'] })
    actions.poll({ hours: 3, seen: open(1) })

    expect(actions.events({ hours: 4, missing: ['a0'] })).toEqual([])
  })

  test('one that comes back appears with another event id than the first time', () => {
    const actions = createDetector(machineActions)
    const [first] = actions.poll({ hours: 1, seen: open(1) })
    actions.poll({ hours: 2, missing: ['a0'] })
    actions.poll({ hours: 3, missing: ['a0'] })

    const [back] = actions.poll({ hours: 4, seen: open(1) })

    expect([first?.kind, back?.kind]).toEqual(['appeared', 'appeared'])
    expect(back?.item?.version).toBeGreaterThan(first?.item?.version ?? 0)
  })

  test.each([
    [5, 5, 5],
    [6, 6, 0],
    [60, 6, 6],
    [60, 7, 0],
  ])('of %d open items %d are missing: %d are gone', (opened, missing, going) => {
    const actions = createDetector(machineActions)
    actions.poll({ hours: 1, seen: open(opened) })
    const rest = open(opened).slice(missing)

    actions.poll({ hours: 2, seen: rest, missing: ids(missing) })
    const events = actions.events({ hours: 3, seen: rest, missing: ids(missing) })

    expect(events).toHaveLength(going)
  })

  test('when all are missing none is gone, although a poll checks only 50', () => {
    const actions = createDetector(machineActions)
    actions.poll({ hours: 1, seen: open(300) })
    const all = ids(300)

    const events = Array.from({ length: 60 }, (_, minute) => {
      const from = (minute * 50) % 300
      return actions.events({ hours: 2 + minute * MINUTE, missing: all.slice(from, from + 50) })
    })

    expect(events.flat()).toEqual([])
  })

  test('missing items that are not gone are untracked after 30 days', () => {
    const actions = createDetector(machineActions)
    actions.poll({ hours: 1, seen: open(6) })
    actions.poll({ hours: 2, missing: ids(6) })

    const events = [
      ...actions.events({ hours: 700, missing: ids(6) }),
      ...actions.events({ hours: 722, missing: ids(6) }),
      ...actions.events({ hours: 723 }),
    ]

    expect(events).toEqual(ids(6).map((id) => `${id} gone Pending > untracked`))
  })
})

describe('pruning', () => {
  test('an item that is over is pruned when it is a day older than every later window', () => {
    const actions = createDetector(machineActions)
    actions.poll({ hours: 1, seen: [seenItem('a', 'Succeeded')] })
    const windowAt = (hours: number) => new Date(Date.UTC(2026, 2, 1) + hours * 3_600_000)

    actions.poll({ hours: 120, windowStart: windowAt(24) })
    const before = actions.known.size
    const changes = actions.poll({ hours: 121, windowStart: windowAt(24.1) })

    expect(before).toBe(1)
    expect(changes).toMatchObject([{ id: 'a', item: null }])
    expect(changes[0]?.kind).toBeUndefined()
  })

  test('an old item stays for a day after its end: a list that lags behind may still return it as open', () => {
    const actions = createDetector(machineActions)
    actions.poll({ hours: 1, seen: [seenItem('a', 'Pending')] })
    actions.poll({ hours: 200, seen: [seenItem('a', 'Failed', { updated: 199 })] })

    const soon = [
      ...actions.poll({ hours: 201 }),
      ...actions.poll({ hours: 202, seen: [seenItem('a', 'Pending')] }),
      ...actions.poll({ hours: 223 }),
    ]
    actions.poll({ hours: 224 })

    expect(soon.map(({ kind, item }) => [kind, item?.state])).toEqual([[undefined, 'Failed']])
    expect(actions.known.size).toBe(0)
  })

  test('an item that is over stays while lists return it, and has no second event', () => {
    const actions = createDetector(machineActions)
    actions.poll({ hours: 1, seen: [seenItem('a', 'Succeeded')] })

    const changes = [200, 400, 2000].flatMap((hours) =>
      actions.poll({ hours, seen: [seenItem('a', 'Succeeded')] }),
    )

    expect(changes).toEqual([])
    expect(actions.known.size).toBe(1)
  })

  test('an open item is never pruned, listed or not', () => {
    const actions = createDetector(machineActions)
    actions.poll({ hours: 1, seen: [seenItem('a', 'InProgress')] })

    expect(actions.poll({ hours: 3000 })).toEqual([])
  })

  test('without a creation time an item is pruned by when it was first seen; a creation time that comes later counts', () => {
    const detector = createDetector(investigations)
    const ended = { ...seenItem('7', 'Benign', { updated: null }), createdAt: null }
    detector.poll({ hours: 0, seen: [ended, { ...ended, id: '8' }] })

    detector.poll({ hours: 120, seen: [seenItem('8', 'Benign', { created: 119, updated: null })] })
    detector.poll({ hours: 130 })

    expect([...detector.known.keys()]).toEqual(['8'])
  })
})

describe('the first poll', () => {
  test('it emits nothing and records everything', () => {
    const actions = createDetector(machineActions)
    const seen = [seenItem('a', 'Pending'), seenItem('b', 'Succeeded')]

    const events = actions.events({ hours: 100, isSilent: true, seen })
    const later = actions.events({
      hours: 100 + MINUTE,
      seen: [seenItem('a', 'Failed', { updated: 100 }), seenItem('c', 'Pending')],
    })

    expect(events).toEqual([])
    expect(later).toEqual(['c appeared - > Pending', 'a changed Pending > Failed'])
  })

  test('a first poll that is repeated after a crash emits nothing for changes in between', () => {
    const actions = createDetector(machineActions)
    actions.poll({ hours: 1, isSilent: true, seen: [seenItem('a', 'Pending')] })

    const events = actions.events({
      hours: 1000,
      isSilent: true,
      seen: [seenItem('a', 'InProgress', { updated: 2 })],
    })

    expect(events).toEqual([])
    expect(actions.known.get('a')?.state).toBe('InProgress')
  })

  test('with the baseline wanted, it emits all it finds', () => {
    const events = createDetector(machineActions).events({
      hours: 1,
      seen: [seenItem('a', 'Pending'), seenItem('b', 'Failed')],
    })

    expect(events).toEqual(['a appeared - > Pending', 'b appeared - > Failed'])
  })
})

describe('rows that can not be read', () => {
  test('an item whose row is lost appears again under a new version', () => {
    const actions = createDetector(machineActions)
    actions.poll({ hours: 1, seen: [seenItem('a', 'Pending')] })
    actions.known.delete('a')

    const changes = actions.poll({ hours: 2, seen: [seenItem('a', 'Succeeded')], lost: ['a'] })

    expect(changes).toMatchObject([{ kind: 'appeared', to: 'Succeeded', item: { version: 3 } }])
  })

  test('one that the upstream does not know is deleted', () => {
    const changes = createDetector(machineActions).poll({ hours: 2, missing: ['a'], lost: ['a'] })

    expect(changes).toMatchObject([{ id: 'a', item: null }])
  })
})

describe('ids', () => {
  test('a state that is entered twice has two event ids', () => {
    const actions = createDetector(machineActions)
    const states = ['Pending', 'InProgress', 'Pending', 'InProgress']

    const ids = states
      .flatMap((state, hours) =>
        actions.poll({ hours, seen: [seenItem('a', state, { updated: hours })] }),
      )
      .map(({ id, item, kind }) =>
        eventId('machine-actions', 'epoch', {
          item: id,
          type: `${kind}`,
          version: item?.version ?? 0,
        }),
      )

    expect(new Set(ids).size).toBe(4)
  })

  test.each([
    ['a creation time', '2026-03-01T00:00:00Z'],
    ['none', null],
  ])('an item with %s that was pruned and comes back has no event id twice', (_what, createdAt) => {
    const detector = createDetector(investigations)
    const item = (state: string) => ({ ...seenItem('7', state, { updated: null }), createdAt })
    const versions = (hours: number, state?: string) =>
      detector
        .poll({ hours, seen: state ? [item(state)] : [] })
        .flatMap(({ kind, item: known }) => (kind ? [`${kind} ${known?.version}`] : []))

    const events = [
      versions(0, 'Running'),
      versions(1, 'Benign'),
      versions(300),
      versions(301, 'Running'),
      versions(302, 'Failed'),
      versions(700),
      versions(701, 'Running'),
      versions(702, 'Benign'),
    ].flat()

    expect(events).toHaveLength(6)
    expect(new Set(events).size).toBe(6)
  })
})
