import { z } from 'zod'
import { anyState, itemIdSchema, type Resource } from '../resource.ts'

const text = z.string().nullable().catch(null)
const item = z.looseObject({
  id: itemIdSchema,
  status: z.string().min(1),
  creationDateTimeUtc: text,
  lastUpdateDateTimeUtc: text,
  // The list page's own sample has this name; the service was never seen to send it.
  lastUpdateTimeUtc: text,
})

/** Both spellings occur in Microsoft's pages; the service writes the first. */
const spelled = (status: string) => (status === 'Canceled' ? 'Cancelled' : status)

const openStates = ['Pending', 'InProgress']

const promised = [
  'machineId',
  'computerDnsName',
  'type',
  'requestor',
  'requestorComment',
  'scope',
  'requestSource',
  'errorHResult',
  'relatedFileInfo',
] as const

/** Machine actions: https://learn.microsoft.com/defender-endpoint/api/get-machineactions-collection */
export const machineActions: Resource = {
  name: 'machine-actions',
  eventPrefix: 'defender-relay.machine-action',
  list: 'machineactions',
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
  toData({ raw, createdAt, updatedAt }) {
    const fields = Object.fromEntries(promised.map((name) => [name, raw[name] ?? null]))
    return { ...fields, createdAt, updatedAt }
  },
  timeOf: ({ updatedAt, createdAt }) => updatedAt ?? createdAt ?? undefined,
}
