import { z } from 'zod'
import { anyState, itemIdSchema, pickFields, type Resource, textField } from '../resource.ts'

const text = z.string().nullable().catch(null)
const item = z.looseObject({
  id: itemIdSchema,
  status: z.string().min(1),
  creationDateTimeUtc: text,
  lastUpdateDateTimeUtc: text,
  // The sample of the API page has this name; the service was never seen to send it.
  lastUpdateTimeUtc: text,
})

/** Both spellings occur in Microsoft's pages; the service writes the first. */
const spelled = (status: string) => (status === 'Canceled' ? 'Cancelled' : status)

const openStates = ['Pending', 'InProgress']

/** The fields that events carry under the names of the service. */
const named = {
  machineId: textField,
  computerDnsName: textField,
  type: textField,
  requestor: textField,
  requestorComment: textField,
  scope: textField,
  requestSource: textField,
  errorHResult: z.number().nullable(),
  relatedFileInfo: z.record(z.string(), z.unknown()).nullable(),
}

/** Machine actions: https://learn.microsoft.com/defender-endpoint/api/get-machineactions-collection */
export const machineActions: Resource = {
  name: 'machine-actions',
  title: 'machine actions',
  eventPrefix: 'defender-relay.machine-action',
  schedule: { setting: 'MACHINE_ACTIONS_SCHEDULE', usual: '0 * * * * *' },
  path: '/api/machineactions',
  probePath: '/api/machineactions?$top=1',
  roles: ['Machine.Read.All', 'Machine.ReadWrite.All'],
  limit: { perMinute: 100, perHour: 1500 },
  openStates,
  filter: (wanted) =>
    'openNow' in wanted
      ? anyState('status', openStates)
      : `creationDateTimeUtc ge ${wanted.createdSince}`,
  terminalStates: ['Succeeded', 'Failed', 'TimeOut', 'Cancelled'],
  mayReopen: false,
  overdueHours: new Map(),
  read(raw) {
    const read = item.safeParse(raw)
    if (!read.success) return undefined
    const { id, status, creationDateTimeUtc, lastUpdateDateTimeUtc, lastUpdateTimeUtc } = read.data
    return {
      id,
      state: spelled(status),
      createdAt: creationDateTimeUtc,
      updatedAt: lastUpdateDateTimeUtc ?? lastUpdateTimeUtc,
      raw: raw as Record<string, unknown>,
    }
  },
  data: { ...named, createdAt: textField, updatedAt: textField },
  toData: ({ raw, createdAt, updatedAt }) => ({
    ...pickFields(raw, Object.keys(named)),
    createdAt,
    updatedAt,
  }),
  timeOf: ({ updatedAt, createdAt }) => updatedAt ?? createdAt ?? undefined,
}
