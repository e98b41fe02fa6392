import { dayMs, hourMs, minuteMs, momentAt, secondMs, utcText } from '../moment.ts'
import { createRandom, hexText, type Random } from '../random.ts'
import {
  createTimeline,
  documented,
  type ItemKind,
  type LifeContext,
  type Step,
  type Timeline,
  undocumented,
} from './item.ts'

export const openInvestigationStates = [
  'Unknown',
  'Running',
  'PendingApproval',
  'PendingResource',
  'Queued',
] as const

export const endedInvestigationStates = [
  'Terminated',
  'SuccessfullyRemediated',
  'Benign',
  'Failed',
  'PartiallyRemediated',
  'Disabled',
  'InnerFailure',
  'PreexistingAlert',
  'UnsupportedOs',
  'UnsupportedAlertType',
  'SuppressedAlert',
  'PartiallyInvestigated',
  'TerminatedByUser',
  'TerminatedBySystem',
] as const

const ended: readonly unknown[] = endedInvestigationStates

/** Automated investigations. https://learn.microsoft.com/en-us/defender-endpoint/api/investigation */
export const investigation: ItemKind = {
  list: 'investigations',
  entitySet: 'Investigations',
  entityType: 'microsoft.windowsDefenderATP.api.Investigation',
  roles: ['Alert.Read.All', 'Alert.ReadWrite.All'],
  stateField: 'state',
  createdField: 'startTime',
  updatedField: null,
  aliasField: 'triggeringAlertId',
  fields: {
    id: documented('text'),
    startTime: documented('time'),
    state: documented([...openInvestigationStates, ...endedInvestigationStates]),
    machineId: documented('text'),
    triggeringAlertId: documented('text'),
    endTime: undocumented('time'),
    cancelledBy: undocumented('text'),
    statusDetails: undocumented('text'),
    computerDnsName: undocumented('text'),
  },
  create(given, at) {
    const state = given.state ?? 'Running'
    const time = utcText(momentAt(at.ms))
    const blank = {
      id: given.id,
      startTime: state === 'Queued' ? null : time,
      endTime: ended.includes(state) ? time : null,
      state,
      cancelledBy: null,
      statusDetails: null,
      machineId: '1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d',
      computerDnsName: 'lon-ws-000001',
      triggeringAlertId: `da${given.id}_1`,
    }
    return { ...blank, ...given }
  },
  change(before, patch, at) {
    const { state } = patch
    const time = utcText(momentAt(at.ms))
    const along =
      state === undefined || state === before.state
        ? {}
        : {
            startTime: before.startTime ?? (state === 'Queued' ? null : time),
            endTime: ended.includes(state) ? time : null,
          }
    return { ...before, ...along, ...patch, id: before.id }
  },
}

/** The timeline of the investigation with a number, from its start to its purge; the number is its id. */
export function investigationTimeline(place: number, bornMs: number, life: LifeContext): Timeline {
  const { seed, lateSeconds, retentionDays, unknownStates } = life.options
  const random = createRandom(seed, place, 51)
  const { first, steps } = courseOf(place, random, unknownStates)
  return createTimeline({
    kind: investigation,
    steps,
    retentionDays,
    first: {
      ...first,
      id: String(place),
      triggeringAlertId: `da${hexText(18, seed, place, 52)}_${random.int(2 ** 30)}`,
      ...life.subject(place, 53),
    },
    born: { ms: bornMs, ticks: 0 },
    lateSeconds: random.chance(0.1) ? random.int(lateSeconds + 1) : 0,
  })
}

type Patch = Record<string, unknown>

/** One course of an investigation. All fourteen final states occur, one after the other. */
function courseOf(
  place: number,
  random: Random,
  unknownStates: boolean,
): { first: Patch; steps: Step[] } {
  const between = (least: number, most: number) => least + random.next() * (most - least)
  const soon = () => between(2 * secondMs, 3 * minuteMs)
  const work = () => between(30 * secondMs, 40 * minuteMs)
  const end = endOf(
    endedInvestigationStates[place % endedInvestigationStates.length] ?? 'Benign',
    random,
  )
  const queued: Step[] = [[soon(), { state: 'Running' }]]
  const roll = random.next()

  if (unknownStates && random.chance(0.05)) {
    return {
      first: { state: 'Queued' },
      steps: [...queued, [work(), { state: 'Paused' }], [work(), end]],
    }
  }
  // Some end without having started.
  if (
    [
      'UnsupportedOs',
      'UnsupportedAlertType',
      'SuppressedAlert',
      'PreexistingAlert',
      'Disabled',
    ].includes(end.state)
  ) {
    return roll < 0.7
      ? { first: end, steps: [] }
      : { first: { state: 'Queued' }, steps: [[soon(), end]] }
  }
  if (end.state === 'PartiallyInvestigated' && roll < 0.3) {
    const again: Step[] = [
      [soon(), { state: 'Running' }],
      [work(), endOf('Benign', random)],
    ]
    return { first: { state: 'Running' }, steps: [[work(), end], ...again] }
  }
  if (roll < 0.35) return { first: { state: 'Running' }, steps: [[work(), end]] }
  if (roll < 0.6) {
    const wait = random.chance(0.2) ? between(hourMs, 12 * hourMs) : soon()
    return {
      first: { state: 'Queued' },
      steps: [
        [wait, { state: 'Running' }],
        [work(), end],
      ],
    }
  }
  if (roll < 0.65)
    return { first: { state: 'Unknown', startTime: null }, steps: [...queued, [work(), end]] }
  if (roll < 0.8) {
    const away = between(10 * minuteMs, 2 * dayMs)
    const paused: Step[] = [
      [work(), { state: 'PendingResource', statusDetails: 'The device is not available.' }],
      [away, { state: 'Running', statusDetails: null }],
    ]
    return { first: { state: 'Queued' }, steps: [...queued, ...paused, [work(), end]] }
  }
  // The approval comes in time, or it does not.
  const answered = between(20 * minuteMs, 6 * dayMs)
  const approval: Step = [work(), { state: 'PendingApproval' }]
  const lapsed = endOf('TerminatedBySystem', random)
  return {
    first: { state: 'Queued' },
    steps: [...queued, approval, random.chance(0.8) ? [answered, end] : [7 * dayMs, lapsed]],
  }
}

/** The fields of a final state; some have no end time. */
function endOf(state: string, random: Random): Patch & { state: string } {
  const details = random.pick([null, 'No threats were found.', 'See "actions" & <evidence>'])
  return {
    state,
    statusDetails: details,
    ...(state === 'TerminatedByUser' && {
      cancelledBy: random.pick(['analyst@contoso.example', 'Contoso SOAR']),
    }),
    ...(state === 'Failed' && random.chance(0.3) && { endTime: null }),
  }
}
