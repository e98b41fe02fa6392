import { expect, test } from 'vitest'
import { eventTypes, streams } from '../../shared/app/sections/events.ts'
import type { CloudEvent } from '../../shared/events/event.ts'
import {
  compileFilter,
  type Filter,
  filterSchemaFor,
  hasType,
  kindOf,
  kindsOf,
  ofKind,
  wantsStream,
} from '../../shared/events/filter.ts'
import { streamConfig } from './world.ts'

const event: CloudEvent = {
  specversion: '1.0',
  id: 'i',
  source: 's',
  type: 'defender-relay.machine-action.changed',
  subject: 'a',
  time: 't',
  datacontenttype: 'application/json',
  detectedat: 't',
  sequence: '000000000001',
  data: {
    machineId: 'ab12',
    type: 'Isolate',
    requestor: 'Anna@contoso.net',
    from: 'Pending',
    to: 'Succeeded',
    terminal: true,
  },
}

test.each<[what: string, filter: Filter, isWanted: boolean]>([
  ['nothing', {}, true],
  ['its type', { types: ['defender-relay.machine-action.CHANGED'] }, true],
  ['another type', { types: ['defender-relay.machine-action.gone'] }, false],
  ['one of several machines', { machineIds: ['ff', 'AB12'] }, true],
  ['another machine', { machineIds: ['ab1'] }, false],
  ['its action', { actionTypes: ['isolate'] }, true],
  ['its requestor', { requestors: ['anna@CONTOSO.net'] }, true],
  ['its state', { states: ['succeeded'] }, true],
  ['another state', { states: ['Failed'] }, false],
  ['an alert of an event without one', { triggeringAlertIds: ['da1'] }, false],
  ['only terminal events', { terminalOnly: true }, true],
  ['all events', { terminalOnly: false }, true],
  ['its machine and another action', { machineIds: ['ab12'], actionTypes: ['Offboard'] }, false],
  [
    'its machine and its action, but another end',
    { machineIds: ['ab12'], actionTypes: ['Isolate'], states: ['x'] },
    false,
  ],
])('a filter for %s is kept to', (_, filter, isWanted) => {
  expect(compileFilter(filter, streamConfig)(event)).toBe(isWanted)
})

test('an event that is not terminal does not pass terminalOnly', () => {
  const open = { ...event, data: { ...event.data, terminal: false } }

  expect(compileFilter({ terminalOnly: true }, streamConfig)(open)).toBe(false)
})

test('a filter without streams means the default streams', () => {
  const wanted = (filter: Filter) =>
    streamConfig.streams.filter((stream) => wantsStream(filter, stream, streamConfig))

  expect(wanted({})).toEqual(['machine-actions', 'investigations'])
  expect(wanted({ streams: ['av-health'] })).toEqual(['av-health'])
})

test('without streams, a filter of types takes the streams that have them', () => {
  const wanted = (...types: string[]) =>
    streamConfig.streams.filter((stream) => wantsStream({ types }, stream, streamConfig))

  expect(wanted('defender-relay.subscription.failing')).toEqual(['operations'])
  expect(
    wanted('defender-relay.av-health.snapshot.published', 'defender-relay.investigation.gone'),
  ).toEqual(['investigations', 'av-health'])
})

test('every event type of the app is in one of its streams', () => {
  expect(
    eventTypes.map((type) => streams.filter((stream) => hasType(stream, type)).length),
  ).toEqual(eventTypes.map(() => 1))
})

test('a type that none of the streams of a filter has is refused, and named with them', () => {
  const schema = filterSchemaFor({ ...streamConfig, types: eventTypes })
  const types = ['defender-relay.machine-action.gone', 'defender-relay.subscription.failing']
  const issues = (filter: object) => schema.safeParse(filter).error?.issues

  expect(issues({ types, streams: ['machine-actions', 'av-health'] })).toMatchObject([
    {
      path: ['types', 1],
      message: `cannot be ${types[1]}: its events are not in machine-actions, av-health`,
    },
  ])
  expect(issues({ types })).toBeUndefined()
})

test('a filter of a kind passes all types of the kind and no other, in the stream that has them', () => {
  for (const kind of kindsOf(eventTypes)) {
    const filter = ofKind({}, kind, eventTypes)
    const passes = compileFilter(filter, streamConfig)

    const passed = eventTypes.filter((type) => passes({ ...event, type }))
    expect(passed).toEqual(eventTypes.filter((type) => kindOf(type) === kind))
    expect(passed).not.toEqual([])
    for (const type of passed)
      expect(
        streams.filter((stream) => wantsStream(filter, stream, { defaultStreams: [] })),
      ).toEqual(streams.filter((stream) => hasType(stream, type)))
  }
})

test.each<[string, Filter, boolean]>([
  ['a type of the kind', { types: ['defender-relay.machine-action.gone'] }, true],
  ['its stream', { streams: ['machine-actions'] }, true],
  ['a type of another kind', { types: ['defender-relay.subscription.failing'] }, false],
  ['a stream without the kind', { streams: ['machine-actions', 'operations'] }, false],
])('a filter with %s and a kind is taken or refused', (_, filter, isRight) => {
  const make = () => ofKind(filter, 'machine-action', eventTypes)

  if (isRight) expect(make()).toMatchObject(filter)
  else expect(make).toThrow('does not fit')
})

test.each([
  ['an unknown member', { machines: ['a'] }],
  ['an unknown stream', { streams: ['other'] }],
  ['an unknown type', { types: ['things.changes'] }],
  ['a control character', { states: ['Failed\u0000'] }],
  ['half a character', { machineIds: ['\ud800'] }],
  ['an empty list, which no event can pass', { machineIds: [] }],
  ['a text instead of a list', { machineIds: 'a' }],
  ['a text instead of a flag', { terminalOnly: 'yes' }],
  ['a * that is not at the end', { computerDnsNames: ['*srv'] }],
  ['two of them', { computerDnsNames: ['s*v*'] }],
])('a filter with %s is refused', (_, filter) => {
  expect(
    filterSchemaFor({ ...streamConfig, types: ['things.changed'] }).safeParse(filter).success,
  ).toBe(false)
})
