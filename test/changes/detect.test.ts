import { describe, expect, test } from 'vitest'
import { investigations } from '../../shared/changes/resources/investigations.ts'
import { machineActions } from '../../shared/changes/resources/machine-actions.ts'
import { eventId } from '../../shared/events/event.ts'
import { lookingAt, shown } from './looking.ts'

const MINUTE = 1 / 60

describe('states', () => {
  test('an item that was never seen has appeared, and a new state of it is a change', () => {
    const actions = lookingAt(machineActions)

    const first = actions.tell({ hours: 1, seen: [shown('a', 'Pending')] })
    const second = actions.tell({ hours: 2, seen: [shown('a', 'InProgress', { updated: 1.5 })] })
    const third = actions.tell({ hours: 3, seen: [shown('a', 'Succeeded', { updated: 2.5 })] })

    expect(first).toEqual(['a appeared - > Pending'])
    expect(second).toEqual(['a changed Pending > InProgress'])
    expect(third).toEqual(['a changed InProgress > Succeeded'])
  })

  test('an item that is first seen at its end has appeared there', () => {
    expect(lookingAt(machineActions).tell({ hours: 1, seen: [shown('a', 'Failed')] })).toEqual([
      'a appeared - > Failed',
    ])
  })

  test.each([
    ['its update time', { ...shown('a', 'Pending', { updated: 1 }) }],
    ['its raw fields', { ...shown('a', 'Pending'), raw: { requestor: 'somebody' } }],
    ['its creation time', { ...shown('a', 'Pending'), createdAt: '2026-03-01T00:00:00.1Z' }],
  ])('nothing is told when only %s moved', (_what, moved) => {
    const actions = lookingAt(machineActions)
    actions.look({ hours: 1, seen: [shown('a', 'Pending')] })

    expect(actions.tell({ hours: 2, seen: [moved] })).toEqual([])
  })

  test('nothing at all is written for an item that is as it was', () => {
    const actions = lookingAt(machineActions)
    actions.look({ hours: 1, seen: [shown('a', 'Pending'), shown('b', 'Succeeded')] })

    const changes = actions.look({
      hours: 2,
      seen: [shown('a', 'Pending', { updated: 1.5 }), shown('b', 'Succeeded')],
    })

    expect(changes).toEqual([])
  })

  test('what a stale replica says is ignored, and what comes after it is told', () => {
    const actions = lookingAt(machineActions)
    actions.look({ hours: 1, seen: [shown('a', 'InProgress', { updated: 1 })] })

    const stale = actions.look({ hours: 2, seen: [shown('a', 'Pending', { updated: 0.5 })] })
    const later = actions.tell({ hours: 3, seen: [shown('a', 'Succeeded', { updated: 2 })] })

    expect(stale).toEqual([])
    expect(later).toEqual(['a changed InProgress > Succeeded'])
  })

  test.each([
    ['2026-03-01T00:00:00.1234568Z', '2026-03-01T00:00:00.1234567Z', false],
    ['2026-03-01T00:00:00.1234567Z', '2026-03-01T00:00:00.1234568Z', true],
    ['2026-03-01T00:00:00.1Z', '2026-03-01T00:00:00Z', false],
    ['2026-03-01T00:00:00Z', '2026-03-01T00:00:00.1Z', true],
    ['2026-03-01T00:00:00.5Z', '2026-03-01T00:00:00.4999999Z', false],
    ['2026-03-01T00:00:00.12Z', '2026-03-01T00:00:00.1200000Z', true],
  ])('after %s, a row of %s is believed: %s', (before, after, isBelieved) => {
    const actions = lookingAt(machineActions)
    actions.look({ hours: 1, seen: [{ ...shown('a', 'Pending'), updatedAt: before }] })

    const told = actions.tell({
      hours: 2,
      seen: [{ ...shown('a', 'Succeeded'), updatedAt: after }],
    })

    expect(told).toHaveLength(isBelieved ? 1 : 0)
  })

  test('a row without an update time does not make older rows true again', () => {
    const actions = lookingAt(machineActions)
    actions.look({ hours: 1, seen: [shown('a', 'InProgress', { updated: 1 })] })

    const timeless = actions.tell({ hours: 2, seen: [shown('a', 'Succeeded', { updated: null })] })
    const stale = actions.tell({ hours: 3, seen: [shown('a', 'Pending', { updated: 0.5 })] })

    expect(timeless).toEqual(['a changed InProgress > Succeeded'])
    expect(stale).toEqual([])
  })

  test('a state that nobody knows is carried, is not an end, and its item stays', () => {
    const actions = lookingAt(machineActions)

    const told = [
      ...actions.tell({ hours: 1, seen: [shown('a', 'Paused')] }),
      ...actions.tell({ hours: 200, windowStart: new Date('2027-01-01') }),
      ...actions.tell({ hours: 201, seen: [shown('a', 'Benign, Failed', { updated: 2 })] }),
    ]

    expect(told).toEqual(['a appeared - > Paused', 'a changed Paused > Benign, Failed'])
    expect([...actions.known.keys()]).toEqual(['a'])
  })

  test('changes are told in the order in which they happened, then by id', () => {
    const actions = lookingAt(machineActions)
    const seen = [
      { ...shown('d', 'Pending'), updatedAt: '2026-03-01T00:00:00.12Z' },
      { ...shown('c', 'Pending'), updatedAt: '2026-03-01T00:00:00.1Z' },
      { ...shown('b', 'Pending'), updatedAt: '2026-03-01T00:00:00.1000000Z' },
      { ...shown('a', 'Pending'), updatedAt: '2026-03-01T00:00:00.1100001Z' },
    ]

    expect(actions.look({ hours: 1, seen }).map(({ id }) => id)).toEqual(['b', 'c', 'a', 'd'])
  })
})

describe('ends that are taken back', () => {
  test('an investigation leaves an end only when that was seen twice', () => {
    const looking = lookingAt(investigations)
    looking.look({ hours: 1, seen: [shown('7', 'PartiallyInvestigated', { updated: null })] })

    const once = looking.tell({ hours: 2, seen: [shown('7', 'Running', { updated: null })] })
    const twice = looking.tell({ hours: 3, seen: [shown('7', 'Running', { updated: null })] })

    expect(once).toEqual([])
    expect(twice).toEqual(['7 changed PartiallyInvestigated > Running'])
  })

  test('an end that is seen again in between, or another state, begins the doubt anew', () => {
    const looking = lookingAt(investigations)
    const states = [
      'Benign',
      'Running',
      'Benign',
      'Running',
      'Queued',
      'Running',
      'Failed',
      'Failed',
    ]

    const told = states.flatMap((state, hours) =>
      looking
        .tell({ hours, seen: [shown('7', state, { updated: null })] })
        .map((text) => `${hours}: ${text}`),
    )

    expect(told).toEqual(['0: 7 appeared - > Benign', '7: 7 changed Benign > Failed'])
  })

  test('a machine action that leaves an end with a newer time is told at once', () => {
    const actions = lookingAt(machineActions)
    actions.look({ hours: 1, seen: [shown('a', 'Failed')] })

    expect(actions.tell({ hours: 2, seen: [shown('a', 'Pending', { updated: 1 })] })).toEqual([
      'a changed Failed > Pending',
    ])
  })
})

describe('items that stay open', () => {
  test('a machine action that is open for more than 73 hours is overdue, once', () => {
    const actions = lookingAt(machineActions)
    const look = (hours: number) => actions.tell({ hours, seen: [shown('a', 'Pending')] })

    expect([look(1), look(73), look(73 + MINUTE), look(74), look(500)].flat()).toEqual([
      'a appeared - > Pending',
      'a overdue Pending > Pending',
    ])
  })

  test('overdue is told once even when the state changes afterwards', () => {
    const actions = lookingAt(machineActions)
    actions.look({ hours: 1, seen: [shown('a', 'Pending')] })
    actions.look({ hours: 80, seen: [shown('a', 'Pending')] })

    const told = [
      ...actions.tell({ hours: 81, seen: [shown('a', 'InProgress', { updated: 80.5 })] }),
      ...actions.tell({ hours: 200, seen: [shown('a', 'InProgress', { updated: 80.5 })] }),
    ]

    expect(told).toEqual(['a changed Pending > InProgress'])
  })

  test('an investigation may wait seven days for an approval before it is overdue', () => {
    const looking = lookingAt(investigations)
    const look = (hours: number) =>
      looking.tell({ hours, seen: [shown('7', 'PendingApproval', { updated: null })] })

    expect([look(1), look(74), look(168), look(168 + MINUTE), look(169)].flat()).toEqual([
      '7 appeared - > PendingApproval',
      '7 overdue PendingApproval > PendingApproval',
    ])
  })

  test('where the service gives no start, an item is open since it was first seen', () => {
    const looking = lookingAt(investigations)
    const look = (hours: number) =>
      looking.tell({ hours, seen: [{ ...shown('7', 'Queued'), createdAt: null }] })

    expect([look(100), look(173), look(173 + MINUTE)].flat()).toEqual([
      '7 appeared - > Queued',
      '7 overdue Queued > Queued',
    ])
  })

  test('what has ended is never overdue', () => {
    const actions = lookingAt(machineActions)
    actions.look({ hours: 1, seen: [shown('a', 'Succeeded')] })

    expect(actions.look({ hours: 1000, seen: [shown('a', 'Succeeded')] })).toEqual([])
  })

  test('after 30 days without a sign of life an item is gone as untracked, and not again while the list brings it', () => {
    const actions = lookingAt(machineActions)
    const look = (hours: number) =>
      actions.tell({ hours, seen: [shown('a', 'Pending', { updated: 10 })] })

    const told = [
      look(0),
      look(80),
      look(730),
      look(730 + MINUTE),
      look(731),
      look(2000),
      look(4000),
    ].flat()

    expect(told).toEqual([
      'a appeared - > Pending',
      'a overdue Pending > Pending',
      'a gone Pending > untracked',
    ])
  })

  test('a sign of life starts the 30 days anew, and its time is the one that a later row is compared with', () => {
    const actions = lookingAt(machineActions)
    actions.look({ hours: 0, seen: [shown('a', 'Pending')] })
    actions.look({ hours: 80, seen: [shown('a', 'Pending')] })
    const look = (hours: number) =>
      actions.tell({ hours, seen: [shown('a', 'Pending', { updated: 700 })] })

    expect([look(700), look(1400), look(1421), look(1422), look(3000)].flat()).toEqual([
      'a gone Pending > untracked',
    ])
  })

  test('a list that once fails to bring an untracked item does not make it new', () => {
    const actions = lookingAt(machineActions)
    const seen = [shown('a', 'Pending')]
    for (const hours of [0, 100, 721]) actions.look({ hours, seen })

    const told = [
      ...actions.tell({ hours: 722 }),
      ...actions.tell({ hours: 723, seen }),
      ...actions.tell({ hours: 760 }),
      ...actions.tell({ hours: 761, seen }),
    ]

    expect(told).toEqual([])
  })

  test('an untracked item leaves the set when no list brings it for a day', () => {
    const actions = lookingAt(machineActions)
    for (const hours of [0, 100, 721]) actions.look({ hours, seen: [shown('a', 'Pending')] })

    actions.look({ hours: 722 })
    actions.look({ hours: 745 })
    const before = actions.known.size
    const told = actions.tell({ hours: 746 })

    expect([before, actions.known.size, told]).toEqual([1, 0, []])
  })

  test('an untracked item that moves after all has appeared again, and is not overdue a second time', () => {
    const actions = lookingAt(machineActions)
    for (const hours of [0, 100, 721]) actions.look({ hours, seen: [shown('a', 'Pending')] })

    const told = [
      ...actions.tell({ hours: 722, seen: [shown('a', 'InProgress', { updated: 721.5 })] }),
      ...actions.tell({ hours: 723, seen: [shown('a', 'InProgress', { updated: 721.5 })] }),
    ]

    expect(told).toEqual(['a appeared - > InProgress'])
  })
})

describe('items that the service no longer knows', () => {
  const open = (count: number) => Array.from({ length: count }, (_, n) => shown(`a${n}`, 'Pending'))
  const ids = (count: number) => open(count).map(({ id }) => id)

  test('one is gone after two looks that are 15 minutes apart', () => {
    const actions = lookingAt(machineActions)
    actions.look({ hours: 1, seen: open(1) })
    const look = (minutes: number) => actions.tell({ hours: 2 + minutes * MINUTE, missing: ['a0'] })

    expect([look(0), look(14), look(15), look(16), look(100)].flat()).toEqual([
      'a0 gone Pending > notFound',
    ])
  })

  test('one that is seen in between is not gone', () => {
    const actions = lookingAt(machineActions)
    actions.look({ hours: 1, seen: open(1) })
    actions.look({ hours: 2, missing: ['a0'] })
    actions.look({ hours: 3, seen: open(1) })

    expect(actions.tell({ hours: 4, missing: ['a0'] })).toEqual([])
  })

  test('one that comes back has appeared, under another id than the first time', () => {
    const actions = lookingAt(machineActions)
    const [first] = actions.look({ hours: 1, seen: open(1) })
    actions.look({ hours: 2, missing: ['a0'] })
    actions.look({ hours: 3, missing: ['a0'] })

    const [back] = actions.look({ hours: 4, seen: open(1) })

    expect([first?.kind, back?.kind]).toEqual(['appeared', 'appeared'])
    expect(back?.item?.version).toBeGreaterThan(first?.item?.version ?? 0)
  })

  test.each([
    [5, 5, 5],
    [6, 6, 0],
    [60, 6, 6],
    [60, 7, 0],
  ])('of %d open items %d are missing: %d go', (opened, missing, going) => {
    const actions = lookingAt(machineActions)
    actions.look({ hours: 1, seen: open(opened) })
    const rest = open(opened).slice(missing)

    actions.look({ hours: 2, seen: rest, missing: ids(missing) })
    const told = actions.tell({ hours: 3, seen: rest, missing: ids(missing) })

    expect(told).toHaveLength(going)
  })

  test('when all are missing nobody goes, though only 50 are asked at a look', () => {
    const actions = lookingAt(machineActions)
    actions.look({ hours: 1, seen: open(300) })
    const all = ids(300)

    const told = Array.from({ length: 60 }, (_, minute) => {
      const from = (minute * 50) % 300
      return actions.tell({ hours: 2 + minute * MINUTE, missing: all.slice(from, from + 50) })
    })

    expect(told.flat()).toEqual([])
  })

  test('those who were held back are untracked after 30 days', () => {
    const actions = lookingAt(machineActions)
    actions.look({ hours: 1, seen: open(6) })
    actions.look({ hours: 2, missing: ids(6) })

    const told = [
      ...actions.tell({ hours: 700, missing: ids(6) }),
      ...actions.tell({ hours: 722, missing: ids(6) }),
      ...actions.tell({ hours: 723 }),
    ]

    expect(told).toEqual(ids(6).map((id) => `${id} gone Pending > untracked`))
  })
})

describe('leaving the set', () => {
  test('an ended item leaves only when it is a day older than every window to come', () => {
    const actions = lookingAt(machineActions)
    actions.look({ hours: 1, seen: [shown('a', 'Succeeded')] })
    const windowAt = (hours: number) => new Date(Date.UTC(2026, 2, 1) + hours * 3_600_000)

    actions.look({ hours: 120, windowStart: windowAt(24) })
    const before = actions.known.size
    const changes = actions.look({ hours: 121, windowStart: windowAt(24.1) })

    expect(before).toBe(1)
    expect(changes).toMatchObject([{ id: 'a', item: null }])
    expect(changes[0]?.kind).toBeUndefined()
  })

  test('an old item that ended just now stays for a day: a list that lags behind may still bring it as open', () => {
    const actions = lookingAt(machineActions)
    actions.look({ hours: 1, seen: [shown('a', 'Pending')] })
    actions.look({ hours: 200, seen: [shown('a', 'Failed', { updated: 199 })] })

    const soon = [
      ...actions.look({ hours: 201 }),
      ...actions.look({ hours: 202, seen: [shown('a', 'Pending')] }),
      ...actions.look({ hours: 223 }),
    ]
    actions.look({ hours: 224 })

    expect(soon).toEqual([])
    expect(actions.known.size).toBe(0)
  })

  test('an ended item that the list still brings stays and is not told again', () => {
    const actions = lookingAt(machineActions)
    actions.look({ hours: 1, seen: [shown('a', 'Succeeded')] })

    const changes = [200, 400, 2000].flatMap((hours) =>
      actions.look({ hours, seen: [shown('a', 'Succeeded')] }),
    )

    expect(changes).toEqual([])
    expect(actions.known.size).toBe(1)
  })

  test('an open item never leaves by age, listed or not', () => {
    const actions = lookingAt(machineActions)
    actions.look({ hours: 1, seen: [shown('a', 'InProgress')] })

    expect(actions.look({ hours: 3000 })).toEqual([])
  })

  test('an end without a creation time leaves by when it was first seen; one that gets a time is kept by it', () => {
    const looking = lookingAt(investigations)
    const ended = { ...shown('7', 'Benign', { updated: null }), createdAt: null }
    looking.look({ hours: 0, seen: [ended, { ...ended, id: '8' }] })

    looking.look({ hours: 120, seen: [shown('8', 'Benign', { created: 119, updated: null })] })
    looking.look({ hours: 130 })

    expect([...looking.known.keys()]).toEqual(['8'])
  })
})

describe('the first look', () => {
  test('it tells nobody and remembers everything', () => {
    const actions = lookingAt(machineActions)
    const seen = [shown('a', 'Pending'), shown('b', 'Succeeded')]

    const told = actions.tell({ hours: 100, isSilent: true, seen })
    const later = actions.tell({
      hours: 100 + MINUTE,
      seen: [shown('a', 'Failed', { updated: 100 }), shown('c', 'Pending')],
    })

    expect(told).toEqual([])
    expect(later).toEqual(['c appeared - > Pending', 'a changed Pending > Failed'])
  })

  test('a first look that is repeated after a crash tells nobody of what changed in between', () => {
    const actions = lookingAt(machineActions)
    actions.look({ hours: 1, isSilent: true, seen: [shown('a', 'Pending')] })

    const told = actions.tell({
      hours: 1000,
      isSilent: true,
      seen: [shown('a', 'InProgress', { updated: 2 })],
    })

    expect(told).toEqual([])
    expect(actions.known.get('a')?.state).toBe('InProgress')
  })

  test('when it is to tell, it tells all it finds', () => {
    const told = lookingAt(machineActions).tell({
      hours: 1,
      seen: [shown('a', 'Pending'), shown('b', 'Failed')],
    })

    expect(told).toEqual(['a appeared - > Pending', 'b appeared - > Failed'])
  })
})

describe('ids', () => {
  test('a state that is entered twice has two ids', () => {
    const actions = lookingAt(machineActions)
    const states = ['Pending', 'InProgress', 'Pending', 'InProgress']

    const ids = states
      .flatMap((state, hours) =>
        actions.look({ hours, seen: [shown('a', state, { updated: hours })] }),
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
  ])('an item with %s that was forgotten and comes back has no id twice', (_what, createdAt) => {
    const looking = lookingAt(investigations)
    const item = (state: string) => ({ ...shown('7', state, { updated: null }), createdAt })
    const versions = (hours: number, state?: string) =>
      looking
        .look({ hours, seen: state ? [item(state)] : [] })
        .flatMap(({ kind, item: known }) => (kind ? [`${kind} ${known?.version}`] : []))

    const told = [
      versions(0, 'Running'),
      versions(1, 'Benign'),
      versions(300),
      versions(301, 'Running'),
      versions(302, 'Failed'),
      versions(700),
      versions(701, 'Running'),
      versions(702, 'Benign'),
    ].flat()

    expect(told).toHaveLength(6)
    expect(new Set(told).size).toBe(6)
  })
})
