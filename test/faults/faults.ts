import { type Faults, type ForcedAnswer, noFaults } from '../../local/simulator/faults.ts'
import type { FleetOptions } from '../../local/simulator/layout.ts'
import { changesSwitches } from '../../local/simulator/switches/changes.ts'
import { exportsSwitches } from '../../local/simulator/switches/exports.ts'
import type { Call, Outcome } from './network.ts'
import { failure, refusedBatch } from './storage-service.ts'
import { HOUR, MINUTE, type World } from './world.ts'

/** What happens at a step. */
export interface Fault {
  /** In plain words, such as `killed before`. */
  name: string
  happen(world: World, call: Call, nth: number): Promise<Outcome>
  /** The upstream offers nothing that could be published: the run may end as failed. */
  mayFail?: boolean
  /** How many times in a row it happens; 1 when absent. */
  times?: number
  /** Before the work, and after it. */
  begin?(world: World): unknown
  end?(world: World): unknown
}

const DAY = 24 * HOUR
/** The SDK sends a request of tables four times. */
const TRIES = 4

const silence = async (): Promise<Outcome> => 'silence'

/** The instance that works dies. */
async function kill(world: World): Promise<Outcome> {
  ;(await world.live()).kill()
  return 'silence'
}

/** The clock of the instance jumps, and is right again after the work. */
const jump = (name: string, ms: number): Fault => ({
  name,
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
    const again = world.network.again?.(other)
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

/** From when on the simulator behaves in another way, and how many calls it then refuses as too many. */
interface Simulated {
  from?: 'begin' | 'step'
  throttles?: number
}

/** The simulator behaves in another way from the begin of the work, or from the step, to the end of the work. */
const simulated = (
  name: string,
  faults: () => Partial<Faults>,
  { from = 'begin', throttles = 0 }: Simulated = {},
): Fault => {
  const set = (world: World) => {
    world.simulator.setFaults(faults())
    world.forced.throttles += throttles
  }
  return {
    name,
    mayFail: true,
    begin: (world) => from === 'begin' && set(world),
    happen(world, { send }, nth) {
      if (from === 'step' && nth === 1) set(world)
      return send()
    },
    times: Number.POSITIVE_INFINITY,
    // The links of the network, not those of the simulator.
    end: ({ simulator, network }) =>
      simulator.setFaults({ ...noFaults, linkOrigin: network.origin }),
  }
}

const LASTING = Number.POSITIVE_INFINITY

/** What Defender's routes may answer; `status` is the name of the simulator's fault. */
export const refusals = (
  status: 'exportStatus' | 'jsonStatus' | 'machineActionsStatus' | 'machineActionStatus',
): Fault[] => {
  const refused = (name: string, answer: ForcedAnswer['answer'], calls: number, throttles = 0) =>
    simulated(name, () => ({ [status]: { answer, calls, retryAfterSeconds: 30 } }), {
      from: 'step',
      throttles,
    })
  return [
    refused('the token has expired', 401, 1),
    refused('403 once', 403, 1),
    refused('403', 403, LASTING),
    refused('404', 404, LASTING),
    refused('500 twice', 500, 2),
    refused('500', 500, LASTING),
    refused('429: the upstream has had enough calls', 429, 1, 1),
    refused('the page of a proxy', 'html-200', 1),
    refused('JSON that is no JSON', 'broken-json', 1),
  ]
}

/** What may become of any answer of an upstream on its way. */
export const brokenWays: Fault[] = [
  { name: 'connection reset', happen: async () => 'reset' },
  { name: 'no answer', happen: silence },
  {
    name: 'connection reset in the middle of the answer',
    happen: async (_world, { send }) => half(await send(), 'reset'),
  },
  {
    name: 'the answer stalls in its middle',
    happen: async (_world, { send }) => half(await send(), 'silence'),
  },
]

const half = (outcome: Outcome, end: 'reset' | 'silence'): Outcome =>
  typeof outcome === 'object' && 'status' in outcome ? { half: outcome, end } : outcome

const tokenFault = (name: string, answer: 403 | 503) =>
  simulated(name, () => ({ tokenStatus: { answer, calls: LASTING } }), { from: 'step' })

export const tokens: Fault[] = [
  tokenFault('the token endpoint answers 503', 503),
  tokenFault('the token endpoint refuses', 403),
]

const HALF_AN_HOUR_S = 1800

/** Faults of files. */
export const files: Fault[] = [
  simulated('one link has expired', () => ({ shortLivedLinks: 1 })),
  simulated('every link has expired', () => ({ shortLivedLinks: 3 })),
  simulated('the key of the links has expired', () => ({
    shortLivedLinks: 2,
    userDelegation: true,
  })),
  simulated('a file is not ready for a minute', () => ({ notReadyFiles: 1, notReadySeconds: 60 })),
  simulated('a file is never ready', () => ({
    notReadyFiles: 1,
    notReadySeconds: 10 * HALF_AN_HOUR_S,
  })),
  simulated('a file is damaged', () => ({ badGzip: 1 })),
  simulated('a file ends early', () => ({ truncatedGzip: 1 })),
  simulated('a file is not packed', () => ({ nonGzip: 1 })),
  simulated('a download breaks off', () => ({ dropMidway: 1 })),
  simulated('403 of a firewall', () => ({ blobStatus: { answer: 403, calls: LASTING } })),
  simulated('404 of one file', () => ({ blobStatus: { answer: 404, calls: 1 } })),
  simulated('503 of the file store once', () => ({ blobStatus: { answer: 503, calls: 1 } })),
  simulated('500 of the file store', () => ({ blobStatus: { answer: 500, calls: LASTING } })),
  ...Object.entries(exportsSwitches)
    .filter(([name]) => name !== 'export-role-missing-once')
    .map(([name, { faults }]) =>
      simulated(name.replaceAll('-', ' '), () => ({
        ...structuredClone(faults),
        changeGeneratedTime: false,
      })),
    ),
]

/** What an export holds. */
export const fleets: Fault[] = [
  fleetOf('the fleet has shrunk to a half', { size: 20 }),
  fleetOf('the fleet has grown', { size: 80 }),
  fleetOf('a line is garbage', { badLines: 1 }),
  fleetOf('a line is too long', { oversizedLines: 1 }),
  fleetOf('every device twice', { duplicates: 40 }),
]

function fleetOf(name: string, options: Partial<FleetOptions>): Fault {
  return {
    name,
    mayFail: true,
    begin: (world) => world.setFleet(world.fleetAt(6, options)),
    happen: (_world, { send }) => send(),
  }
}

/** What may happen to a listing. */
export const listings: Fault[] = [
  simulated('no file is listed', () => ({ emptyList: true }), { from: 'step' }),
  simulated('no time of the export', () => ({ nullGeneratedTime: true }), { from: 'step' }),
  {
    name: 'an older export is listed',
    mayFail: true,
    happen(world, { send }) {
      world.setFleet(world.fleetAt(-6))
      return send()
    },
  },
  {
    name: 'another export is listed',
    mayFail: true,
    happen(world, { send }) {
      world.setFleet(world.fleetAt(12))
      return send()
    },
  },
]

/** Our own budget has no token for a while. */
export const ownBudget = (family: string): Fault => ({
  name: 'the budget is exhausted',
  mayFail: true,
  async begin(world) {
    const { theApp } = (await world.live()).app
    const { budget } = await world.settled(theApp().defender())
    await world.settled(budget.stop(family as never, 5 * MINUTE))
  },
  happen: (_world, { send }) => send(),
})

/** What lists of items may be, as the simulator's switches have them. */
export const lists: Fault[] = Object.entries(changesSwitches)
  .filter(([, { faults }]) => !('machineActionsStatus' in faults))
  .map(([name, { faults }]) => simulated(name.replaceAll('-', ' '), () => structuredClone(faults)))

/** What pages of devices may be. */
export const pages: Fault[] = [
  simulated('pages without a link to the next', () => ({ missingNextLink: true })),
  simulated('rows whose modes can’t be read', () => ({
    spoiledRows: { how: 'mode-names', every: 1 },
  })),
]

/** How a receiver behaves while the work goes on. */
export const receivers: Fault[] = (
  ['refuse', 'stall', 'gone', 'throttle', 'reset', 'html', 'redirect', 'huge'] as const
).map((mode) => ({
  name: `the receiver's mode is ${mode}`,
  begin: ({ simulator }) => simulator.receiver('receiver').setMode(mode, { retryAfter: '30' }),
  happen: (_world, { send }) => send(),
  times: LASTING,
  end: ({ simulator }) => simulator.receiver('receiver').setMode('accept'),
}))
