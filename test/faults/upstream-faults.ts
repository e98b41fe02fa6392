import { type Faults, type ForcedAnswer, noFaults } from '../../local/simulator/faults.ts'
import type { FleetOptions } from '../../local/simulator/layout.ts'
import { changesSwitches } from '../../local/simulator/switches/changes.ts'
import { exportsSwitches } from '../../local/simulator/switches/exports.ts'
import { type Fault, silence } from './faults.ts'
import type { Outcome } from './storage-wire.ts'
import { MINUTE, SIZE, type World } from './world.ts'

/** From when on the simulator behaves in another way, and how many calls it then refuses as too many. */
interface Simulated {
  from?: 'begin' | 'step'
  throttles?: number
  ends?: Fault['ends']
}

/** The simulator behaves in another way from the begin of the work, or from the step, to the end of the work. */
const simulated = (
  name: string,
  faults: (world: World) => Partial<Faults>,
  { from = 'begin', throttles = 0, ends }: Simulated = {},
): Fault => {
  const set = (world: World) => {
    world.simulator.setFaults(faults(world))
    world.forced.throttles += throttles
  }
  return {
    name,
    ends,
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
  const refused = (
    name: string,
    answer: ForcedAnswer['answer'],
    { calls = 1, throttles = 0, ends }: { calls?: number } & Simulated = {},
  ) =>
    simulated(name, () => ({ [status]: { answer, calls, retryAfterSeconds: 30 } }), {
      ...{ from: 'step', throttles, ends },
    })
  const lasting = { calls: LASTING, ends: 'either' } as const
  return [
    refused('the token has expired', 401),
    refused('403 once', 403),
    refused('403', 403, lasting),
    refused('404', 404, lasting),
    refused('500 twice', 500, { calls: 2 }),
    refused('500', 500, lasting),
    refused('429: the upstream has had enough calls', 429, { throttles: 1 }),
    refused('the page of a proxy', 'html-200', { ends: 'either' }),
    refused('JSON that is no JSON', 'broken-json', { ends: 'either' }),
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
  simulated(name, () => ({ tokenStatus: { answer, calls: LASTING } }), {
    ...{ from: 'step', ends: 'either' },
  })

export const tokens: Fault[] = [
  tokenFault('the token endpoint answers 503', 503),
  tokenFault('the token endpoint refuses', 403),
]

const failed = { ends: 'failed' } as const

/** Faults of files. */
export const files: Fault[] = [
  simulated('one link has expired', () => ({ shortLivedLinks: 1 })),
  simulated('every link has expired', () => ({ shortLivedLinks: 3 })),
  simulated('the key of the links has expired', () => ({
    ...{ shortLivedLinks: 2, userDelegation: true },
  })),
  simulated('a file is not ready for a minute', () => ({ notReadyFiles: 1, notReadySeconds: 60 })),
  simulated('a file is never ready', () => ({ notReadyFiles: 1, notReadySeconds: 18_000 }), failed),
  simulated('a file is damaged', () => ({ badGzip: 1 }), failed),
  simulated('a file ends early', () => ({ truncatedGzip: 1 }), failed),
  simulated('a file is not packed', () => ({ nonGzip: 1 })),
  simulated('a download breaks off', () => ({ dropMidway: 1 })),
  simulated('403 of a firewall', () => ({ blobStatus: { answer: 403, calls: LASTING } }), failed),
  simulated('404 of one file', () => ({ blobStatus: { answer: 404, calls: 1 } })),
  simulated('503 of the file store once', () => ({ blobStatus: { answer: 503, calls: 1 } })),
  simulated(
    '500 of the file store',
    () => ({ blobStatus: { answer: 500, calls: LASTING } }),
    failed,
  ),
  // The others are faults of the listing, or change what the fleet is.
  ...Object.entries(exportsSwitches)
    .filter(([name]) => !/role|elsewhere|settings|list-500/.test(name))
    .map(([name, { faults }]) =>
      simulated(
        name.replaceAll('-', ' '),
        () => ({ ...structuredClone(faults), changeGeneratedTime: false }),
        failed,
      ),
    ),
]

const fleetOf = (name: string, options: Partial<FleetOptions>, ends?: Fault['ends']): Fault => ({
  name,
  ends,
  begin: (world) => world.setFleet(world.fleetAt(6, options)),
  happen: (_world, { send }) => send(),
})

/** What an export holds. */
export const fleets: Fault[] = [
  fleetOf('the fleet has shrunk to a half', { size: SIZE / 2 }, 'failed'),
  fleetOf('the fleet has grown', { size: 2 * SIZE }),
  fleetOf('every device twice', { duplicates: SIZE }),
]

/** What the files of an export hold. */
export const lines: Fault[] = [
  fleetOf('a line of 20 is garbage', { badLines: 1 }, 'failed'),
  fleetOf('a line of 204 is garbage', { badLines: 1, size: 200 }),
  fleetOf('a line of 20 is too long', { oversizedLines: 1 }, 'failed'),
]

/** Another origin, which serves the same files. */
const elsewhere = ({ network }: World) => network.origin.replace('127.0.0.1', 'localhost')

/** What may happen to a listing. */
export const listings: Fault[] = [
  simulated('no file is listed', () => ({ emptyList: true }), { from: 'step', ...failed }),
  simulated('no time of the export', () => ({ nullGeneratedTime: true }), {
    ...{ from: 'step', ends: 'either' },
  }),
  simulated('the links lead elsewhere', (world) => ({ linkOrigin: elsewhere(world) }), {
    ...{ from: 'step', ...failed },
  }),
  {
    name: 'an older export is listed',
    ...failed,
    happen(world, { send }) {
      world.setFleet(world.fleetAt(-6))
      return send()
    },
  },
  {
    name: 'another export is listed',
    ends: 'either',
    happen(world, { send }) {
      world.setFleet(world.fleetAt(12))
      return send()
    },
  },
]

/** Our own budget has no token for a while. */
export const ownBudget = (family: string): Fault => ({
  name: 'the budget is exhausted',
  isUnseen: true,
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
  simulated(
    'rows whose modes can’t be read',
    () => ({ spoiledRows: { how: 'mode-names', every: 1 } }),
    failed,
  ),
]

/** How a receiver behaves while the work goes on. */
export const receivers: Fault[] = (
  ['refuse', 'gone', 'throttle', 'reset', 'html', 'redirect', 'huge'] as const
).map((mode) => ({
  name: `the receiver's mode is ${mode}`,
  begin: ({ simulator }) => simulator.receiver('receiver').setMode(mode, { retryAfter: '30' }),
  happen: (_world, { send }) => send(),
  times: LASTING,
  // A receiver that is gone is posted to again when somebody enables its subscription.
  async end(world) {
    world.simulator.receiver('receiver').setMode('accept')
    if (mode === 'gone') await world.enable()
  },
}))
