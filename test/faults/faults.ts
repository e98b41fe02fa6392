import type { Call } from './network.ts'
import { failure, type Outcome, refusedBatch } from './storage-wire.ts'
import { HOUR, type World } from './world.ts'

/** What happens at a step. */
export interface Fault {
  /** In plain words, such as `killed before`. */
  name: string
  happen(world: World, call: Call, nth: number): Promise<Outcome>
  /** How the run of an export ends, if there is one; `published` when absent. */
  ends?: 'published' | 'failed' | 'either'
  /** How many times in a row it happens; 1 when absent. */
  times?: number
  /** It may keep the step from being reached. */
  isUnseen?: boolean
  /** It may take the time of a comparison: the snapshot is then published without changes. */
  isLong?: boolean
  /** Before the work, and after it. */
  begin?(world: World): unknown
  end?(world: World): unknown
}

const DAY = 24 * HOUR
/** The SDK sends a request of tables four times. */
const TRIES = 4

/** No answer, for ever. */
export const silence = async (): Promise<Outcome> => 'silence'

/** The instance that works dies. */
async function kill(world: World): Promise<Outcome> {
  ;(await world.live()).kill()
  return 'silence'
}

/** The clock of the instance jumps, and is right again after the work. */
const jump = (name: string, ms: number): Fault => ({
  name,
  isLong: ms > 0,
  async happen(world, { send }) {
    ;(await world.live()).setAhead(ms)
    return send()
  },
  end: async (world) => (await world.live()).setAhead(0),
})

export const killedBefore: Fault = { name: 'killed before', happen: kill }

export const killedAfter: Fault = {
  name: 'killed after',
  async happen(world, { send }) {
    await send()
    return kill(world)
  },
}

export const lostExecutor: Fault = {
  name: 'killed after, and the durable engine has lost the run',
  async happen(world, { send }) {
    await send()
    world.executions.clear()
    return kill(world)
  },
}

export const twoInstances: Fault = {
  name: 'another instance does the same meanwhile',
  async happen(world, { send }) {
    const other = await world.startOther()
    const again = world.stage.again?.(other)
    await world.network.waiting(Promise.resolve(again).catch(() => {}))
    return send()
  },
}

export const clocks: Fault[] = [
  jump('the clock jumps a day ahead', DAY),
  jump('the clock jumps a day back', -DAY),
]

/** Faults of storage. */
export const busy: Fault = {
  name: 'storage answers 503',
  times: TRIES,
  happen: async () => failure(503, 'ServerBusy'),
}

export const silentStorage: Fault = {
  name: 'storage gives no answer',
  happen: silence,
}

export const lostAnswers: Fault[] = [
  {
    name: 'done, but the answer is lost',
    async happen(_world, { send }) {
      await send()
      return 'reset'
    },
  },
  {
    name: 'done, but storage gives no answer',
    async happen(_world, { send }) {
      await send()
      return 'silence'
    },
  },
]

export const conflicts: Fault[] = [
  {
    name: 'refused with 412',
    happen: async () => refusedBatch(412, 'UpdateConditionNotSatisfied'),
  },
  { name: 'refused with 409', happen: async () => refusedBatch(409, 'EntityAlreadyExists') },
]
