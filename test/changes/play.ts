import type { Scheduler } from 'fast-check'
import { poll, type Watch } from '../../shared/changes/poll.ts'
import { type ResourceName, resources } from '../../shared/changes/resources/index.ts'
import type { CloudEvent } from '../../shared/events/event.ts'
import { createFeed, type Feed } from '../../shared/events/feed.ts'
import type { Table } from '../../shared/platform/table.ts'
import { createModel, createModelClock, type Deed, type Lags, type Manner, type Model } from './model.ts'
import { createTurns, type Turn } from './turns.ts'

/** What goes wrong with the request of this number: it alone, or with it the process. */
export interface Fault {
  at: number
  kind: 'unsent' | 'unanswered' | 'dies before' | 'dies after'
}

/** How one poll goes: what fails, how stale the answers are, and what happens upstream during its calls. */
export interface PollPlan {
  fault: Fault | null
  lags: Lags
  during: { call: number; deed: Deed }[]
}

export type Command = Deed | { do: 'wait'; minutes: number } | { do: 'poll'; plans: [PollPlan] | [PollPlan, PollPlan] }

/** A whole history: what the world is like and what happens in it, in order. */
export interface World extends Manner {
  resource: ResourceName
  tellBaseline: boolean
  commands: Command[]
}

/** What came of it. */
export interface Story {
  turns: Turn[]
  events: CloudEvent[]
  model: Model
  /** Polls that ended well without having ended. */
  pretences: string[]
}

/** Parts that may be replaced by broken ones, to see that the property notices. */
export interface Parts {
  table: Table
  makeFeed?: (table: Table) => Feed
}

/** An error that a plan asked for. */
export class Planned extends Error {}

const noPlan: PollPlan = { fault: null, lags: { created: 0, open: 0, item: 0 }, during: [] }
/** So long after the last fault everything has been asked often enough, in minutes between polls. */
const QUIET_MINUTES = [61, 1, 16, 16, 61, 16]

/** Plays a history over a table, ends with a few quiet polls, and answers all that was shown and all that was told. */
export async function play(
  world: World,
  { table, makeFeed = createFeed }: Parts,
  scheduler: Scheduler,
): Promise<Story> {
  const clock = createModelClock()
  const resource = resources[world.resource]
  const model = createModel(resource, clock, world)
  const turns = createTurns(resource.name)
  await table.create()
  const pretences: string[] = []
  const processes: Process[] = [{ memory: {} }, { memory: {} }]

  async function pollBy(number: 0 | 1, plan: PollPlan, isAlone: boolean): Promise<void> {
    const process = processes[number] as Process
    const line = turns.line(clock)
    let asked = 0
    let called = 0
    let isDead = false

    /** Every request of the process passes here. */
    async function ask<T>(request: () => Promise<T>): Promise<T> {
      if (!isAlone) await scheduler.schedule(Promise.resolve(), `process ${number}`)
      const isHit = plan.fault?.at === asked++
      const kind = isHit ? plan.fault?.kind : undefined
      if (isDead || kind === 'unsent') throw new Planned()
      isDead = kind === 'dies before' || kind === 'dies after'
      if (kind === 'dies before') throw new Planned()
      const answer = await request()
      if (isHit) throw new Planned()
      return answer
    }

    const source = model.source(plan.lags, (answer) =>
      ask(async () => {
        for (const { call, deed } of plan.during) if (call === called) model.perform(deed)
        called += 1
        return answer()
      }),
    )
    const watch: Watch = {
      ...{ resource, clock, overdueHours: 73, tellBaseline: world.tellBaseline, memory: process.memory },
      source: line.sees(source),
      feed: makeFeed(asking(line.lands(table), ask)),
      log: { info() {}, warn() {}, error() {} },
      tenantId: () => ask(async () => 'tenant'),
      over: (call) => call(),
    }
    try {
      await poll(watch)
      if (!line.isOver()) pretences.push(`a poll by process ${number} ended as if it had done its work`)
    } catch (error) {
      // Whoever is overtaken again and again gives up, and looks again a minute later.
      if (!(error instanceof Planned) && !(error instanceof Error && error.name === 'StreamMoved')) throw error
    }
    process.memory = isDead ? {} : watch.memory
  }

  for (const command of world.commands) {
    if (command.do === 'wait') clock.advance(command.minutes)
    else if (command.do !== 'poll') model.perform(command)
    else if (command.plans.length === 1) await pollBy(0, command.plans[0], true)
    else {
      const both = command.plans.map((plan, number) => pollBy(number === 0 ? 0 : 1, plan, false))
      for (const ended of await scheduler.waitFor(Promise.allSettled(both)))
        if (ended.status === 'rejected') throw ended.reason
    }
  }
  for (const minutes of QUIET_MINUTES) {
    clock.advance(minutes)
    await pollBy(0, noPlan, true)
  }
  const events = await createFeed(table).events(resource.name, 0, 100_000)
  return { turns: turns.inOrder(), events, model, pretences }
}

interface Process {
  memory: Watch['memory']
}

/** A table whose every request goes by `ask`. */
function asking(table: Table, ask: <T>(request: () => Promise<T>) => Promise<T>): Table {
  const page: Table['page'] = (query, options) => ask(() => table.page(query, options))
  return {
    ...{ name: table.name, page, create: table.create, drop: table.drop },
    get: (partitionKey, rowKey) => ask(() => table.get(partitionKey, rowKey)),
    transact: (operations) => ask(() => table.transact(operations)),
    async *list(query) {
      let next: string | undefined
      do {
        const answer: Awaited<ReturnType<typeof page>> = await page(query, next === undefined ? {} : { next })
        yield* answer.rows
        next = answer.next
      } while (next !== undefined)
    },
  }
}
