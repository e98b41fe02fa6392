import fc from 'fast-check'
import { resources } from '../../shared/changes/resources/index.ts'
import type { Reaction } from '../events/receivers.ts'
import type { Fault } from './fault-injector.ts'
import type { Lags, UpstreamChange } from './model.ts'
import {
  type Command,
  clockNames,
  type History,
  type PollPlan,
  type SubscribePlan,
} from './play.ts'
import { filters, type Habit, habits } from './recorder.ts'

const item = fc.nat(4)
const state = fc.nat(6)

/** What may happen to an item. */
const change: fc.Arbitrary<UpstreamChange> = fc.oneof(
  fc.record({
    do: fc.constant('create' as const),
    item,
    state,
    lateMinutes: fc.constantFrom(0, 0, 5, 35),
    isTie: fc.boolean(),
    hasNoStart: fc.boolean(),
  }),
  fc.record({
    do: fc.constantFrom('step' as const, 'step' as const, 'stepBack' as const),
    item,
    state,
  }),
  fc.record({ do: fc.constantFrom('touch' as const, 'start' as const), item }),
  fc.record({ do: fc.constantFrom('purge' as const, 'restore' as const), item }),
)

const crowd: fc.Arbitrary<UpstreamChange> = fc.record({
  do: fc.constant('crowd' as const),
  count: fc.constant(55),
  state,
})

/** With the delay of a row they stay below the overlap of one hour. */
const lags: fc.Arbitrary<Lags> = fc.oneof(
  { weight: 3, arbitrary: fc.constant({ created: 0, open: 0, item: 0 }) },
  {
    weight: 2,
    arbitrary: fc.record({
      created: fc.constantFrom(0, 3, 20),
      open: fc.constantFrom(0, 3, 20),
      item: fc.constantFrom(0, 20),
    }),
  },
)

const fault: fc.Arbitrary<Fault> = fc.record({
  at: fc.oneof(fc.nat(9), fc.nat(30), fc.nat(120)),
  kind: fc.constantFrom(
    'not sent' as const,
    'no answer' as const,
    'crash before' as const,
    'crash after' as const,
  ),
})

const maybeFault = fc.option(fault)

/** Rarely: a history in which everything is strange tests little. */
const rarely = <T>(value: fc.Arbitrary<T>) => fc.option(value, { freq: 8 })
const rare = fc.integer({ min: 0, max: 9 }).map((n) => n === 9)

const plan: fc.Arbitrary<PollPlan> = fc.record({
  fault: maybeFault,
  hang: rarely(fc.record({ at: fc.nat(5), lands: fc.boolean() })),
  slow: rarely(fc.record({ call: fc.nat(4), seconds: fc.constantFrom(1, 75, 400) })),
  lags,
  staleCall: rarely(fc.nat(5)),
  ignoresFilter: rare,
  links: fc.constantFrom('skip' as const, 'nameless' as const, 'token' as const),
  shoutsIds: rare,
  mixesUp: rare,
  during: fc.array(fc.record({ call: fc.nat(6), change }), { maxLength: 2 }),
})

const subscribe: fc.Arbitrary<SubscribePlan> = fc.record({
  filterIndex: fc.nat(filters.length - 1),
  reactions: fc.array(
    fc.constantFrom<Reaction>(200, 500, 410, 'stall', 'refuse', { status: 429, retryAfter: 90 }),
    {
      maxLength: 6,
    },
  ),
  habit: fc.oneof(
    { weight: 2, arbitrary: fc.constant('accept' as const) },
    { weight: 1, arbitrary: fc.constantFrom(...(Object.keys(habits) as Habit[])) },
  ),
  fault: maybeFault,
  late: fc.nat(12),
})
const maybeSubscribe = fc.option(subscribe)

const poll: fc.Arbitrary<Command> = fc.record({
  do: fc.constant('poll' as const),
  plans: fc.oneof(
    { weight: 3, arbitrary: fc.tuple(plan) },
    { weight: 1, arbitrary: fc.tuple(plan, plan) },
  ),
  subscribe: maybeSubscribe,
})

const wait: fc.Arbitrary<Command> = fc.record({
  do: fc.constant('wait' as const),
  // One minute, and times near the limits for missing, wide, overdue, listed, pruned and untracked.
  minutes: fc.constantFrom(0, 1, 1, 1, 7, 16, 16, 61, 61, 300, 1440, 4400, 8640, 8640, 44_000),
})

const jump: fc.Arbitrary<Command> = fc.record({
  do: fc.constant('jump' as const),
  clock: fc.constantFrom(...clockNames),
  minutes: fc.constantFrom(0, 0, 0.5, -1, 30, -30, 1440, -1440),
})

const timer: fc.Arbitrary<Command> = fc.record({
  do: fc.constant('timer' as const),
  timer: fc.constantFrom('dispatch' as const, 'sweep' as const),
  fault: maybeFault,
})

/** No poll for longer than the wide window: the next one has to find everything. */
const outage: fc.Arbitrary<Command[]> = fc
  .tuple(
    fc.array(change, { minLength: 1, maxLength: 3 }),
    fc.constantFrom(6000, 8640),
    change,
    poll,
  )
  .map(([before, minutes, after, then]) => [...before, { do: 'wait', minutes }, after, then])

const subscribing: fc.Arbitrary<Command> = subscribe.map((plan) => ({ do: 'subscribe', ...plan }))

/** A subscriber is added while a poll finds something. */
const rush: fc.Arbitrary<Command[]> = fc
  .tuple(change, fc.tuple(plan), subscribe)
  .map(([before, plans, added]) => [before, { do: 'poll', plans, subscribe: added }])

const commands: fc.Arbitrary<Command[]> = fc
  .array(
    fc.oneof(
      { weight: 8, arbitrary: fc.tuple(change) },
      { weight: 7, arbitrary: fc.tuple(poll) },
      { weight: 6, arbitrary: fc.tuple(wait) },
      { weight: 1, arbitrary: fc.tuple(crowd) },
      { weight: 2, arbitrary: fc.tuple(subscribing) },
      { weight: 2, arbitrary: rush },
      { weight: 1, arbitrary: fc.tuple(timer) },
      { weight: 1, arbitrary: fc.tuple(jump) },
      { weight: 1, arbitrary: outage },
    ),
    { minLength: 4, maxLength: 30, size: 'max' },
  )
  .map((groups) => groups.flat())

/** Histories of every kind. */
export const histories: fc.Arbitrary<History> = fc.record({
  resource: fc.constantFrom(...resources.map(({ name }) => name)),
  emitBaseline: fc.boolean(),
  skewMinutes: fc.constantFrom(0, 0, 0, -9, 9, -1440, 1440),
  pageSize: fc.constantFrom(2, 3, 40),
  commands,
  hostFaults: fc.array(fault, { maxLength: 8 }),
})
