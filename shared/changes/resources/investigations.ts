import { z } from 'zod'
import {
  anyState,
  countBadTimes,
  isTerminal,
  itemIdSchema,
  pickFields,
  type Resource,
  readTime,
  textField,
} from '../resource.ts'

const item = z.object({
  // Numeric text on the wire; a number is taken as well.
  id: z.union([itemIdSchema.toLowerCase(), z.int().transform(String)]),
  state: z.string().min(1),
})

/** The fields that events carry under the names of the service. */
const named = {
  machineId: textField,
  computerDnsName: textField,
  triggeringAlertId: textField,
  statusDetails: textField,
  cancelledBy: textField,
}

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
  title: 'investigations',
  eventPrefix: 'defender-relay.investigation',
  schedule: { setting: 'INVESTIGATIONS_SCHEDULE', usual: '0 * * * * *' },
  path: '/api/investigations',
  probePath: '/api/investigations?$top=1',
  roles: ['Alert.Read.All', 'Alert.ReadWrite.All'],
  limit: { perMinute: 100, perHour: 1500 },
  openStates,
  filter: (wanted) =>
    'openNow' in wanted ? anyState('state', openStates) : `startTime ge ${wanted.createdSince}`,
  terminalStates,
  mayReopen: true,
  // A request for approval that nobody answers ends after seven days.
  overdueHours: new Map([['PendingApproval', 168]]),
  read(sent) {
    const read = item.safeParse(sent)
    if (!read.success) return undefined
    const raw = sent as Record<string, unknown>
    const { startTime, endTime } = raw
    return {
      ...read.data,
      createdAt: readTime(startTime),
      updatedAt: null,
      raw,
      badTimes: countBadTimes(startTime, endTime),
    }
  },
  data: { ...named, startedAt: textField, endedAt: textField },
  toData: ({ raw, createdAt }) => ({
    ...pickFields(raw, Object.keys(named)),
    startedAt: createdAt,
    endedAt: readTime(raw.endTime),
  }),
  timeOf({ raw, state, createdAt }, kind) {
    if (isTerminal({ terminalStates }, state) && typeof raw.endTime === 'string') return raw.endTime
    return kind === 'appeared' ? (createdAt ?? undefined) : undefined
  },
}
