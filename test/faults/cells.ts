import type { Fault } from './faults.ts'
import * as faults from './faults.ts'
import allSteps from './steps.json' with { type: 'json' }
import { type Subject, subjects } from './subjects.ts'
import * as upstream from './upstream-faults.ts'

/** A subject, hit by a fault at one of its steps. */
export interface Cell {
  subject: Subject
  /** The name of a step and, from the second time on, which time it is: `publish-run: list Exports (2)`. */
  step: string
  fault: Fault
  /** The storage emulator is its storage, in place of tables in memory. */
  onEmulator?: boolean
}

export const nameOf = ({ subject, step, fault, onEmulator }: Cell) =>
  `${subject.name} | ${step} | ${fault.name}${onEmulator ? ' | on the emulator' : ''}`

/** How often each step is seen in the work of a subject without faults, in order. */
export const stepsOf = (subject: Subject): Record<string, number> =>
  (allSteps as Record<string, Record<string, number>>)[subject.name] ?? {}

/** The stages of each subject that are hit: the others are hit in another subject. */
const stages: Record<string, string[]> = {
  'export by files': ['start-export', 'begin-run', 'import-file', 'publish-run'],
  'export by pages': ['import-file'],
  'renewal of links': ['renew-links'],
  'take-over': ['resume-exports'],
  retention: ['housekeeping'],
  poll: ['poll'],
  dispatch: ['dispatch-events'],
  delivery: ['deliver'],
}

const is = (kinds: string) => (step: string) => new RegExp(`^[\\w-]+: (?:${kinds}) `).test(step)
const isRead = is('read|list|GET')
const isWrite = is('write|create|drop|send')
const isBatch = is('write')
const isStorage = is('read|list|write|create|drop|send')
const isCall = is('GET')

/** What the heartbeat reads, which changes nothing. */
const isPassedOver = (step: string) => /^resume-exports: read (?:Budgets|Streams) /.test(step)

/** The faults of steps, by what they do; a fault of a step is tried at the first time that it is seen. */
const matrix: { at: (step: string, subject: Subject) => boolean; faults: Fault[] }[] = [
  { at: () => true, faults: [faults.twoInstances] },
  { at: isStorage, faults: [faults.busy] },
  { at: isWrite, faults: [faults.silentStorage, ...faults.lostAnswers] },
  { at: isBatch, faults: faults.conflicts },
  {
    at: (step) => isWrite(step) && /^(?:begin-run|import-file|renew-links|publish-run)/.test(step),
    faults: [faults.lostExecutor],
  },
  { at: isCall, faults: upstream.brokenWays },
  { at: is('POST'), faults: upstream.brokenWays },
  { at: ending('POST token'), faults: upstream.tokens },
  {
    at: ending('GET InfoGatheringExport'),
    faults: [
      ...upstream.refusals('exportStatus'),
      ...upstream.listings,
      upstream.ownBudget('export'),
    ],
  },
  {
    at: ending('GET deviceavinfo'),
    faults: [
      ...upstream.refusals('jsonStatus'),
      ...upstream.pages,
      ...upstream.fleets,
      upstream.ownBudget('deviceavinfo'),
    ],
  },
  {
    at: ending('import-file: GET blob'),
    faults: [...upstream.files, ...upstream.fleets, ...upstream.lines],
  },
  {
    at: ending('GET machineactions'),
    faults: [
      ...upstream.refusals('machineActionsStatus'),
      ...upstream.lists,
      upstream.ownBudget('machine-actions'),
    ],
  },
  { at: ending('GET machineactions by id'), faults: upstream.refusals('machineActionStatus') },
  { at: ending('POST receiver'), faults: upstream.receivers },
]

function ending(text: string) {
  return (step: string) => step.endsWith(text)
}

/** Every cell: death at each request, the other faults at each kind of request, the clock at the begin of each stage. */
const inMemory: Cell[] = subjects.flatMap((subject) =>
  (stages[subject.name] ?? []).flatMap((stage) => {
    const steps = Object.entries(stepsOf(subject)).filter(
      ([step]) => step.startsWith(`${stage}:`) && !isPassedOver(step),
    )
    const [first] = steps
    return [
      ...steps.flatMap(([step, times]) =>
        Array.from({ length: times }, (_, n) => (n === 0 ? step : `${step} (${n + 1})`)).flatMap(
          // A death after a read is that before the next request.
          (one) =>
            (isRead(step) ? [faults.killedBefore] : [faults.killedBefore, faults.killedAfter]).map(
              (fault) => ({ subject, step: one, fault }),
            ),
        ),
      ),
      ...(first ? faults.clocks.map((fault) => ({ subject, step: first[0], fault })) : []),
      ...steps.flatMap(([step]) =>
        matrix
          .filter(({ at }) => at(step, subject))
          .flatMap(({ faults }) => faults.map((fault) => ({ subject, step, fault }))),
      ),
    ]
  }),
)

/** One of so many cells of faults of storage is played on the emulator, too: it is five times as slow. */
const EMULATED = 25

const ofStorage = inMemory.filter(({ step, fault }) => isStorage(step) && !fault.ends)

export const cells: Cell[] = [
  ...inMemory,
  ...ofStorage
    .filter((_, index) => index % EMULATED === 0)
    .map((cell) => ({ ...cell, onEmulator: true })),
]
