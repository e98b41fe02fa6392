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
import { watchTable } from '../events/watched-storage.ts'
import { type DeliveryWorld, MINUTE } from '../events/world.ts'
import { createAudience } from './audience.ts'
import { createFate, type Fate, type Fault, Planned, partsUnder } from './fate.ts'
import { startHost } from './host.ts'
import {
  createModel,
  type Deed,
  type Lags,
  type Manner,
  MODEL_BEGIN_MS,
  type Model,
} from './model.ts'
import { createTurns, type Turn } from './turns.ts'

/** How one poll goes: what fails, how stale the answers are, and what happens upstream during its calls. */
export interface PollPlan {
  fault: Fault | null
  lags: Lags
  during: { call: number; deed: Deed }[]
}

/** How one subscribes, so many turns after the others began: what for, how the receiver reacts until all is well, and what fails. */
export interface JoinPlan {
  wish: number
  reactions: Reaction[]
  fault: Fault | null
  late: number
}

export type Command =
  | Deed
  | { do: 'wait'; minutes: number }
  /** By one process or by two at the same moment, while somebody subscribes or nobody does. */
  | { do: 'poll'; plans: [PollPlan] | [PollPlan, PollPlan]; join: JoinPlan | null }
  | ({ do: 'join' } & JoinPlan)
  | { do: 'chore'; chore: keyof typeof chores; fault: Fault | null }

/** A whole history: what the world is like and what happens in it, in order. */
export interface History extends Manner {
  resource: string
  tellBaseline: boolean
  commands: Command[]
  /** What goes wrong while events are delivered. */
  hostFaults: Fault[]
}

/** What came of it. */
export interface Story {
  turns: Turn[]
  events: CloudEvent[]
  model: Model
  /** Polls that ended well without having ended. */
  pretences: string[]
  /** What receivers have to complain of. */
  complaints: string[]
}

/** What a history is played on; parts may be replaced by broken ones, to see that the property notices. */
export interface Stage {
  world: DeliveryWorld
  makeFeed?(table: Table): Feed
  tamper?(deps: EventsDeps): EventsDeps
}

/** What timers do beside polling: catching up with what is to be handed out, and the hourly sweep. */
export const chores = {
  dispatch: async (deps: EventsDeps, stream: string) => void (await dispatch(deps, stream)),
  sweep: async (deps: EventsDeps) => void (await sweepDeliveries(deps)),
}

const noPlan: PollPlan = { fault: null, lags: { created: 0, open: 0, item: 0 }, during: [] }
/** So long after the last fault everything has been asked often enough, in minutes between polls. */
const QUIET_MINUTES = [61, 1, 16, 16, 61, 16]

/** Plays a history, ends with a few quiet polls and days, and answers all that was shown, told and delivered. */
export async function play(history: History, stage: Stage, scheduler: Scheduler): Promise<Story> {
  const { world, makeFeed = createFeed, tamper = (deps) => deps } = stage
  const { clock } = world
  await clock.advance(MODEL_BEGIN_MS)
  const resource = resourceFor(history.resource)
  const model = createModel(resource, clock, history)
  const turns = createTurns(resource.name)
  const audience = createAudience(world, resource.name)
  const pretences: string[] = []
  const memories: Memory[] = [{}, {}]
  const hostFaults = [...history.hostFaults]
  startHost(world, hostFaults, tamper)

  /** Works as a process of its own that may be struck; what is not alone takes turns with others. */
  async function working(
    fault: Fault | null,
    isAlone: boolean,
    work: (fate: Fate) => Promise<void>,
  ): Promise<Fate> {
    const turn = isAlone ? {} : { turn: () => scheduler.schedule(Promise.resolve()) }
    const fate = createFate(fault ? [fault] : [], turn)
    try {
      await work(fate)
    } catch (error) {
      // Whoever is overtaken again and again gives up, and looks again a minute later.
      if (!(error instanceof Planned) && !(error instanceof Error && error.name === 'StreamMoved'))
        throw error
    }
    return fate
  }

  async function pollBy(number: number, plan: PollPlan, isAlone: boolean): Promise<void> {
    const memory = memories[number] as Memory
    const line = turns.line(clock)
    let called = 0
    const fate = await working(plan.fault, isAlone, async (own) => {
      const source = model.source(plan.lags, (answer) =>
        own.ask(() => {
          for (const { call, deed } of plan.during) if (call === called) model.perform(deed)
          called += 1
          return answer()
        }),
      )
      const context: PollContext = {
        resource,
        clock,
        overdueHours: 73,
        emitBaseline: history.tellBaseline,
        memory,
        source: line.sees(source),
        feed: makeFeed(watchTable(line.lands(world.tables.streams), own)),
        log: { info() {}, warn() {}, error() {} },
        trace: {},
        tenantId: () => own.ask(() => 'tenant'),
        track: (call) => call(),
      }
      const { head } = await poll(context)
      if (!line.isOver())
        pretences.push(`a poll by process ${number} ended as if it had done its work`)
      await dispatch(partsUnder(world, own), resource.name, head)
    })
    if (fate.isDead()) memories[number] = {}
  }

  /** What waits for a timer that runs each minute waits no longer than that. */
  async function wait(minutes: number): Promise<void> {
    const first = Math.min(minutes, 6)
    await clock.advance(first * MINUTE)
    await dispatch(world.deps, resource.name)
    await clock.advance((minutes - first) * MINUTE)
  }

  async function join({ wish, reactions, fault, late }: JoinPlan, isAlone: boolean): Promise<void> {
    for (let turn = 0; turn < late && !isAlone; turn++) await scheduler.schedule(Promise.resolve())
    await working(fault, isAlone, (fate) => audience.join(partsUnder(world, fate), wish, reactions))
  }

  async function perform(command: Command): Promise<void> {
    if (command.do === 'wait') await wait(command.minutes)
    else if (command.do === 'join') await join(command, true)
    else if (command.do === 'chore') {
      const chore = chores[command.chore]
      await working(command.fault, true, (fate) => chore(partsUnder(world, fate), resource.name))
    } else if (command.do === 'poll') {
      const { plans, join: joining } = command
      if (plans.length === 1 && !joining) return pollBy(0, plans[0], true)
      const together = plans.map((plan, number) => pollBy(number, plan, false))
      if (joining) together.push(join(joining, false))
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
  await audience.settle()
  const events = await world.feed.events(resource.name, 0, 100_000)
  return {
    turns: turns.inOrder(),
    events,
    model,
    pretences,
    complaints: audience.complaints(events),
  }
}
