import { z } from 'zod'
import { anyState, isTerminal, itemIdSchema, type Resource } from '../resource.ts'

const text = z.string().nullable().catch(null)
const item = z.looseObject({
  // Numeric text on the wire; a number is taken as well.
  id: z.union([itemIdSchema, z.int().transform(String)]),
  state: z.string().min(1),
  startTime: text,
  endTime: text,
})

const promised = [
  'machineId',
  'computerDnsName',
  'triggeringAlertId',
  'statusDetails',
  'cancelledBy',
] as const

const openStates = ['Unknown', 'Running', 'PendingApproval', 'PendingResource', 'Queued']

const terminalStates = [
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
]

/** Automated investigations: https://learn.microsoft.com/defender-endpoint/api/get-investigation-collection */
export const investigations: Resource = {
  name: 'investigations',
  eventPrefix: 'defender-relay.investigation',
  list: 'investigations',
  openStates,
  filter: (wanted) =>
    'openNow' in wanted ? anyState('state', openStates) : `startTime ge ${wanted.createdSince}`,
  terminalStates,
  mayReopen: true,
  // An approval that nobody gives lapses after seven days.
  overdueHours: new Map([['PendingApproval', 168]]),
  read(raw) {
    const read = item.safeParse(raw)
    if (!read.success) return undefined
    const { id, state, startTime } = read.data
    return { id, state, createdAt: startTime, updatedAt: null, raw: raw as Record<string, unknown> }
  },
  toData({ raw, createdAt }) {
    const fields = Object.fromEntries(promised.map((name) => [name, raw[name] ?? null]))
    return { ...fields, startedAt: createdAt, endedAt: raw.endTime ?? null }
  },
  timeOf({ raw, state, createdAt }, kind) {
    if (isTerminal({ terminalStates }, state) && typeof raw.endTime === 'string') return raw.endTime
    return kind === 'appeared' ? (createdAt ?? undefined) : undefined
  },
}
