import type { Scheduler } from 'fast-check'
import { poll } from '../../shared/changes/poll.ts'
import type { Memory, PollContext } from '../../shared/changes/poll-state.ts'
import { resourceFor } from '../../shared/changes/resources/index.ts'
import { dispatch } from '../../shared/events/delivery/dispatch.ts'
import { sweepDeliveries } from '../../shared/events/delivery/sweep.ts'
import type { EventsDeps } from '../../shared/events/deps.ts'
import type { CloudEvent } from '../../shared/events/event.ts'
import { createFeed, type Feed } from '../../shared/events/feed/feed.ts'
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
  createModel,
  type Lags,
  MODEL_BEGIN_MS,
  type Model,
  type UpstreamChange,
  type UpstreamOptions,
} from './model.ts'
import { createRecorder } from './recorder.ts'

/** How one poll goes: what fails, how stale the answers are, and what happens upstream during its calls. */
export interface PollPlan {
  fault: Fault | null
  lags: Lags
  during: { call: number; change: UpstreamChange }[]
}

/** How one subscribes: its filter, the first answers of its receiver, what fails, and how many steps it starts late. */
export interface SubscribePlan {
  filterIndex: number
  reactions: Reaction[]
  fault: Fault | null
  late: number
}

export type Command =
  | UpstreamChange
  | { do: 'wait'; minutes: number }
  /** By one process or by two at the same time, with or without a new subscriber at that time. */
  | { do: 'poll'; plans: [PollPlan] | [PollPlan, PollPlan]; subscribe: SubscribePlan | null }
  | ({ do: 'subscribe' } & SubscribePlan)
  | { do: 'timer'; timer: keyof typeof timers; fault: Fault | null }

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
  /** Polls that returned without an error and had not written their report. */
  falseReports: string[]
  /** Broken promises of delivery. */
  deliveryErrors: string[]
}

/** What a history runs on. The feed and the deps can be replaced by broken ones, to check that the property fails. */
export interface Setup {
  world: DeliveryWorld
  makeFeed?(table: Table): Feed
  replaceDeps?(deps: EventsDeps): EventsDeps
}

/** The timers beside polling: dispatch and the hourly sweep. */
export const timers = {
  dispatch: async (deps: EventsDeps, stream: string) => void (await dispatch(deps, stream)),
  sweep: async (deps: EventsDeps) => void (await sweepDeliveries(deps)),
}

const noPlan: PollPlan = { fault: null, lags: { created: 0, open: 0, item: 0 }, during: [] }
/** Minutes between the final polls: after them every limit has passed. */
const QUIET_MINUTES = [61, 1, 16, 16, 61, 16]

/** Plays a history, adds a few polls and days without faults, and returns what was listed, emitted and delivered. */
export async function play(history: History, setup: Setup, scheduler: Scheduler): Promise<Story> {
  const { world, makeFeed = createFeed, replaceDeps = (deps) => deps } = setup
  const { clock } = world
  await clock.advance(MODEL_BEGIN_MS)
  const resource = resourceFor(history.resource)
  const model = createModel(resource, clock, history)
  const attempts = createAttempts(resource.name)
  const recorder = createRecorder(world, resource.name)
  const falseReports: string[] = []
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
      // A poll that was too slow five times gives up; the next one comes a minute later.
      if (
        !(error instanceof PlannedError) &&
        !(error instanceof Error && error.name === 'StreamMoved')
      )
        throw error
    }
    return injector
  }

  async function pollBy(number: number, plan: PollPlan, isAlone: boolean): Promise<void> {
    const memory = memories[number] as Memory
    const recording = attempts.recordPoll(clock)
    let called = 0
    const injector = await runProcess(plan.fault, isAlone, async (own) => {
      const source = model.source(plan.lags, (answer) =>
        own.ask(() => {
          for (const { call, change } of plan.during) if (call === called) model.perform(change)
          called += 1
          return answer()
        }),
      )
      const context: PollContext = {
        resource,
        clock,
        overdueHours: 73,
        emitBaseline: history.emitBaseline,
        memory,
        source: recording.recordSource(source),
        feed: makeFeed(interceptTable(recording.recordTable(world.tables.streams), own)),
        log: { info() {}, warn() {}, error() {} },
        trace: {},
        tenantId: () => own.ask(() => 'tenant'),
        track: (call) => call(),
      }
      const { head } = await poll(context)
      if (!recording.isOver())
        falseReports.push(`a poll by process ${number} returned without its report`)
      await dispatch(depsWith(world, own), resource.name, head)
    })
    if (injector.hasCrashed()) memories[number] = {}
  }

  /** Dispatch runs after at most six minutes, as its timer would. */
  async function wait(minutes: number): Promise<void> {
    const first = Math.min(minutes, 6)
    await clock.advance(first * MINUTE)
    await dispatch(world.deps, resource.name)
    await clock.advance((minutes - first) * MINUTE)
  }

  async function subscribe(
    { filterIndex, reactions, fault, late }: SubscribePlan,
    isAlone: boolean,
  ): Promise<void> {
    for (let step = 0; step < late && !isAlone; step++) await scheduler.schedule(Promise.resolve())
    await runProcess(fault, isAlone, (injector) =>
      recorder.addReceiver(depsWith(world, injector), filterIndex, reactions),
    )
  }

  async function perform(command: Command): Promise<void> {
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
    } else model.perform(command)
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
    falseReports,
    deliveryErrors: recorder.deliveryErrors(events),
  }
}
