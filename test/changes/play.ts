import type { Scheduler } from 'fast-check'
import { poll } from '../../shared/changes/poll.ts'
import type { Memory, PollContext } from '../../shared/changes/poll-state.ts'
import { resourceFor } from '../../shared/changes/resources/index.ts'
import { dispatch } from '../../shared/events/delivery/dispatch.ts'
import { sweepDeliveries, wakeAll } from '../../shared/events/delivery/sweep.ts'
import type { EventsDeps } from '../../shared/events/deps.ts'
import type { CloudEvent } from '../../shared/events/event.ts'
import { createFeed, type Feed, StreamMoved } from '../../shared/events/feed/feed.ts'
import { ShapeError } from '../../shared/platform/errors.ts'
import type { Table } from '../../shared/platform/table.ts'
import type { Reaction } from '../events/receivers.ts'
import { type DeliveryWorld, MINUTE } from '../events/world.ts'
import { interceptTable } from '../intercepted-storage.ts'
import { type Attempt, createAttempts } from './attempts.ts'
import {
  createFaultInjector,
  depsWith,
  type Fault,
  type FaultInjector,
  PlannedError,
} from './fault-injector.ts'
import { startHost } from './host.ts'
import {
  type Behaviour,
  createModel,
  MODEL_BEGIN_MS,
  type Model,
  type UpstreamChange,
  type UpstreamOptions,
} from './model.ts'
import { createRecorder, type Habit } from './recorder.ts'

/** How one poll goes: what fails or takes long, how the upstream behaves, and what happens there during its calls. */
export interface PollPlan extends Behaviour {
  fault: Fault | null
  /** This request to storage gets no answer; if it lands, then after the process has given up. */
  hang: { at: number; lands: boolean } | null
  /** This call to the upstream takes so many seconds. */
  slow: { call: number; seconds: number } | null
  during: { call: number; change: UpstreamChange }[]
}

/** How one subscribes: its filter, how its receiver answers, what fails, and how many steps it starts late. */
export interface SubscribePlan {
  filterIndex: number
  /** The first answers; later ones are by habit. */
  reactions: Reaction[]
  habit: Habit
  fault: Fault | null
  late: number
}

export type Command =
  | UpstreamChange
  | { do: 'wait'; minutes: number }
  /** By one process or by two at the same time, with or without a new subscriber at that time. */
  | { do: 'poll'; plans: [PollPlan] | [PollPlan, PollPlan]; subscribe: SubscribePlan | null }
  | ({ do: 'subscribe' } & SubscribePlan)
  /** A clock jumps: it is now so many minutes ahead of the true time. */
  | { do: 'jump'; clock: ClockName; minutes: number }
  | { do: 'timer'; timer: keyof typeof timers; fault: Fault | null }

/** The clocks of two instances and of storage. */
export const clockNames = ['first', 'second', 'storage'] as const
export type ClockName = (typeof clockNames)[number]

/** A whole history: the properties of the upstream and the commands, in order. */
export interface History extends UpstreamOptions {
  resource: string
  emitBaseline: boolean
  commands: Command[]
  /** The faults during delivery. */
  hostFaults: Fault[]
}

/** The result of a history. */
export interface Story {
  attempts: Attempt[]
  events: CloudEvent[]
  model: Model
  /** Polls that returned without an error and had not written their report, lost a row, or never ended. */
  pollErrors: string[]
  /** Answers were old for as long as it takes to believe them. */
  isStale: boolean
  /** Broken promises of delivery. */
  deliveryErrors: string[]
}

/** What a history runs on. The feed and the deps can be replaced by broken ones, to check that the property fails. */
export interface Setup {
  world: DeliveryWorld
  makeFeed?(table: Table): Feed
  replaceDeps?(deps: EventsDeps): EventsDeps
  replaceContext?(context: PollContext): PollContext
  /** Calls to storage are never given up. */
  hasNoTimeLimit?: boolean
}

/** As long as a call to storage may take. */
const STORAGE_LIMIT_MS = 30_000
/** As long as a call to the upstream may take. */
const UPSTREAM_LIMIT_S = 100

/** The timers beside polling: dispatch with its wake-ups, and the hourly sweep. */
export const timers = {
  async dispatch(deps: EventsDeps, stream: string) {
    await dispatch(deps, stream)
    await wakeAll(deps)
  },
  sweep: async (deps: EventsDeps) => void (await sweepDeliveries(deps)),
}

const noPlan: PollPlan = {
  fault: null,
  hang: null,
  slow: null,
  lags: { created: 0, open: 0, item: 0 },
  staleCall: null,
  ignoresFilter: false,
  links: 'skip',
  shoutsIds: false,
  mixesUp: false,
  during: [],
}
/** Minutes between the final polls: after them every limit has passed. */
const QUIET_MINUTES = [61, 1, 16, 16, 61, 16]

/** Plays a history, adds a few polls and days without faults, and returns what was listed, emitted and delivered. */
export async function play(history: History, setup: Setup, scheduler: Scheduler): Promise<Story> {
  const { world, makeFeed = createFeed, replaceDeps = (deps) => deps } = setup
  const { clock } = world
  await clock.advance(MODEL_BEGIN_MS)
  const resource = resourceFor(history.resource)
  const model = createModel(resource, clock, history)
  const ahead: Record<ClockName, number> = { first: 0, second: 0, storage: 0 }
  const timeBy = (name: ClockName) => new Date(clock.now().getTime() + ahead[name] * MINUTE)
  const attempts = createAttempts(resource, () => timeBy('storage'))
  const recorder = createRecorder(world, resource.name)
  const pollErrors: string[] = []
  let isStale = false
  /** Requests that land after their process has given up. */
  const late: (() => Promise<unknown>)[] = []
  /** Processes that wait for ever. */
  const stuck = new Set<number>()
  const memories: Memory[] = [{}, {}]
  const hostFaults = [...history.hostFaults]
  startHost(world, hostFaults, replaceDeps)

  /** Runs work as a process with a possible fault. If it is not alone, the scheduler interleaves its requests. */
  async function runProcess(
    fault: Fault | null,
    isAlone: boolean,
    work: (injector: FaultInjector) => Promise<void>,
  ): Promise<FaultInjector> {
    const options = isAlone ? {} : { schedule: () => scheduler.schedule(Promise.resolve()) }
    const injector = createFaultInjector(fault ? [fault] : [], options)
    try {
      await work(injector)
    } catch (error) {
      // A poll that was too slow five times gives up, and so does one whose list moved too fast; the next one comes soon.
      const isExpected =
        error instanceof PlannedError || error instanceof StreamMoved || error instanceof ShapeError
      if (!isExpected) throw error
    }
    return injector
  }

  async function pollBy(number: number, plan: PollPlan, isAlone: boolean): Promise<void> {
    // A timer does not start while its last run goes on.
    if (stuck.has(number)) return
    const memory = memories[number] as Memory
    const ownClock = { ...clock, now: () => timeBy(number === 0 ? 'first' : 'second') }
    const recording = attempts.recordPoll(ownClock)
    let called = 0
    let requests = 0
    isStale ||= plan.staleCall !== null || plan.lags.item > 0

    /** Storage that does not answer one request. */
    async function orHang<T>(request: () => Promise<T>): Promise<T> {
      requests += 1
      if (requests !== (plan.hang?.at ?? -1) + 1) return request()
      if (setup.hasNoTimeLimit) stuck.add(number)
      else if (isAlone) await clock.advance(STORAGE_LIMIT_MS)
      if (plan.hang?.lands) late.push(request)
      throw new PlannedError()
    }
    const hanging = (table: Table): Table => ({
      ...table,
      getDated: (...key) => orHang(() => table.getDated(...key)),
      get: (...key) => orHang(() => table.get(...key)),
      page: (...query) => orHang(() => table.page(...query)),
      transact: (operations) => orHang(() => table.transact(operations)),
    })
    const injector = await runProcess(plan.fault, isAlone, async (own) => {
      const upstream = model.source(
        plan,
        (answer) =>
          own.ask(async () => {
            for (const { call, change } of plan.during) if (call === called) model.perform(change)
            const seconds = isAlone && plan.slow?.call === called ? plan.slow.seconds : 0
            called += 1
            if (seconds > 0) await clock.advance(Math.min(seconds, UPSTREAM_LIMIT_S) * 1000)
            if (seconds > UPSTREAM_LIMIT_S) throw new PlannedError()
            return answer()
          }),
        (id) => pollErrors.push(`a list lost ${id} between two pages`),
      )
      const source = recording.recordSource(upstream)
      const table = hanging(recording.recordTable(world.tables.streams))
      const context: PollContext = {
        resource,
        clock: ownClock,
        overdueHours: 73,
        emitBaseline: history.emitBaseline,
        memory,
        source,
        feed: makeFeed(interceptTable(table, own)),
        log: { info() {}, warn() {}, error() {} },
        trace: {},
        tenantId: () => own.ask(() => 'tenant'),
        nextDue: () => null,
        track: (call) => call(),
      }
      const { head } = await poll(setup.replaceContext?.(context) ?? context)
      if (!recording.isOver())
        pollErrors.push(`a poll by process ${number} returned without its report`)
      await dispatch(depsWith(world, own), resource.name, head)
    })
    if (injector.hasCrashed()) memories[number] = {}
  }

  /** Dispatch runs after at most six minutes, as its timer would. */
  async function wait(minutes: number): Promise<void> {
    const first = Math.min(minutes, 6)
    await clock.advance(first * MINUTE)
    await timers.dispatch(world.deps, resource.name)
    await clock.advance((minutes - first) * MINUTE)
  }

  async function subscribe(
    { filterIndex, reactions, habit, fault, late }: SubscribePlan,
    isAlone: boolean,
  ): Promise<void> {
    for (let step = 0; step < late && !isAlone; step++) await scheduler.schedule(Promise.resolve())
    await runProcess(fault, isAlone, (injector) =>
      recorder.addReceiver(depsWith(world, injector), filterIndex, { reactions, habit }),
    )
  }

  async function perform(command: Command): Promise<void> {
    // What lands is refused when the stream has moved on.
    for (const request of late.splice(0)) await request().catch(() => {})
    if (command.do === 'wait') await wait(command.minutes)
    else if (command.do === 'subscribe') await subscribe(command, true)
    else if (command.do === 'timer') {
      const timer = timers[command.timer]
      await runProcess(command.fault, true, (injector) =>
        timer(depsWith(world, injector), resource.name),
      )
    } else if (command.do === 'poll') {
      const { plans, subscribe: subscribing } = command
      if (plans.length === 1 && !subscribing) return pollBy(0, plans[0], true)
      const together = plans.map((plan, number) => pollBy(number, plan, false))
      if (subscribing) together.push(subscribe(subscribing, false))
      for (const ended of await scheduler.waitFor(Promise.allSettled(together)))
        if (ended.status === 'rejected') throw ended.reason
    } else if (command.do === 'jump') ahead[command.clock] = command.minutes
    else model.perform(command)
  }

  for (const command of history.commands) await perform(command)
  hostFaults.length = 0
  for (const minutes of QUIET_MINUTES) {
    await clock.advance(minutes * MINUTE)
    await pollBy(0, noPlan, true)
  }
  await wait(10)
  await recorder.settle()
  const events = await world.feed.events(resource.name, 0, 100_000)
  return {
    attempts: attempts.inOrder(),
    events,
    model,
    pollErrors,
    isStale,
    deliveryErrors: recorder.deliveryErrors(events),
  }
}
