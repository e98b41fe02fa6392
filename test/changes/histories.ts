import fc from 'fast-check'
import { resources } from '../../shared/changes/resources/index.ts'
import type { Reaction } from '../events/receivers.ts'
import { wishes } from './audience.ts'
import type { Fault } from './fate.ts'
import type { Deed, Lags } from './model.ts'
import type { Command, History, JoinPlan, PollPlan } from './play.ts'

const item = fc.nat(4)
const state = fc.nat(6)

/** What may happen while a poll is under way: nothing vanishes then, since a page that shifts up hides a row. */
const during: fc.Arbitrary<Deed> = fc.oneof(
  fc.record({
    do: fc.constant('create' as const),
    item,
    state,
    lateMinutes: fc.constantFrom(0, 0, 5, 35),
    isTie: fc.boolean(),
    hasNoStart: fc.boolean(),
  }),
  fc.record({ do: fc.constant('step' as const), item, state }),
  fc.record({ do: fc.constantFrom('touch' as const, 'start' as const), item }),
)

const deed: fc.Arbitrary<Deed> = fc.oneof(
  { weight: 8, arbitrary: during },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom('purge' as const, 'restore' as const), item }),
  },
)

const crowd: fc.Arbitrary<Deed> = fc.record({
  do: fc.constant('crowd' as const),
  count: fc.constant(55),
  state,
})

/** Together with what a row may be late they stay below the overlap of an hour. */
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
    'unsent' as const,
    'unanswered' as const,
    'dies before' as const,
    'dies after' as const,
  ),
})

const maybeFault = fc.option(fault)

const plan: fc.Arbitrary<PollPlan> = fc.record({
  fault: maybeFault,
  lags,
  during: fc.array(fc.record({ call: fc.nat(6), deed: during }), { maxLength: 2 }),
})

const join: fc.Arbitrary<JoinPlan> = fc.record({
  wish: fc.nat(wishes.length - 1),
  reactions: fc.array(
    fc.constantFrom<Reaction>(200, 500, 410, 'stall', 'refuse', { status: 429, retryAfter: 90 }),
    {
      maxLength: 6,
    },
  ),
  fault: maybeFault,
  late: fc.nat(12),
})
const maybeJoin = fc.option(join)

const poll: fc.Arbitrary<Command> = fc.record({
  do: fc.constant('poll' as const),
  plans: fc.oneof(
    { weight: 3, arbitrary: fc.tuple(plan) },
    { weight: 1, arbitrary: fc.tuple(plan, plan) },
  ),
  join: maybeJoin,
})

const wait: fc.Arbitrary<Command> = fc.record({
  do: fc.constant('wait' as const),
  // A minute; near the limits of what counts as missing, wide, overdue, listed, past and untracked.
  minutes: fc.constantFrom(0, 1, 1, 1, 7, 16, 16, 61, 61, 300, 1440, 4400, 8640, 8640, 44_000),
})

const chore: fc.Arbitrary<Command> = fc.record({
  do: fc.constant('chore' as const),
  chore: fc.constantFrom('dispatch' as const, 'sweep' as const),
  fault: maybeFault,
})

/** Nobody polls for longer than the wide window reaches, and whoever does then has to get everything at once. */
const outage: fc.Arbitrary<Command[]> = fc
  .tuple(
    fc.array(during, { minLength: 1, maxLength: 3 }),
    fc.constantFrom(6000, 8640),
    during,
    poll,
  )
  .map(([before, minutes, after, then]) => [...before, { do: 'wait', minutes }, after, then])

const joining: fc.Arbitrary<Command> = join.map((given) => ({ do: 'join', ...given }))

/** Somebody subscribes while something is found. */
const rush: fc.Arbitrary<Command[]> = fc
  .tuple(during, fc.tuple(plan), join)
  .map(([before, plans, joined]) => [before, { do: 'poll', plans, join: joined }])

const commands: fc.Arbitrary<Command[]> = fc
  .array(
    fc.oneof(
      { weight: 8, arbitrary: fc.tuple(deed) },
      { weight: 7, arbitrary: fc.tuple(poll) },
      { weight: 6, arbitrary: fc.tuple(wait) },
      { weight: 1, arbitrary: fc.tuple(crowd) },
      { weight: 2, arbitrary: fc.tuple(joining) },
      { weight: 2, arbitrary: rush },
      { weight: 1, arbitrary: fc.tuple(chore) },
      { weight: 1, arbitrary: outage },
    ),
    { minLength: 4, maxLength: 30, size: 'max' },
  )
  .map((deps) => deps.flat())

/** Histories of every kind. */
export const histories: fc.Arbitrary<History> = fc.record({
  resource: fc.constantFrom(...resources.map(({ name }) => name)),
  tellBaseline: fc.boolean(),
  skewMinutes: fc.constantFrom(0, 0, -9, 9),
  pageSize: fc.constantFrom(2, 3, 40),
  commands,
  hostFaults: fc.array(fault, { maxLength: 5 }),
})
