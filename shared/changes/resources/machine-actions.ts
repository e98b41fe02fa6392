import { z } from 'zod'
import {
  anyState,
  countBadTimes,
  itemIdSchema,
  pickFields,
  type Resource,
  readTime,
  textField,
} from '../resource.ts'

const item = z.object({
  // Case does not count in a GUID.
  id: itemIdSchema.toLowerCase(),
  status: z.string().min(1),
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

/** The commands of a live response: one may fail although the action succeeds. Null where the item has none. */
const commandsField = z
  .array(
    z.object({ index: z.int().nullable(), type: textField, status: textField, error: textField }),
  )
  .nullable()

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
  duplicatesBy: ['machineId', 'type'],
  history: ['Isolate', 'Unisolate', 'RestrictCodeExecution', 'UnrestrictCodeExecution']
    .map((type) => `type eq '${type}'`)
    .join(' or '),
  read(sent) {
    const read = item.safeParse(sent)
    if (!read.success) return undefined
    const raw = sent as Record<string, unknown>
    // The sample of the API page has the second name; the service was never seen to send it.
    const updatedAt = raw.lastUpdateDateTimeUtc ?? raw.lastUpdateTimeUtc
    return {
      id: read.data.id,
      state: spelled(read.data.status),
      createdAt: readTime(raw.creationDateTimeUtc),
      updatedAt: readTime(updatedAt),
      raw: withoutParams(raw),
      badTimes: countBadTimes(raw.creationDateTimeUtc, updatedAt),
    }
  },
  data: { ...named, commands: commandsField, createdAt: textField, updatedAt: textField },
  toData: ({ raw, createdAt, updatedAt }) => ({
    ...pickFields(raw, Object.keys(named)),
    commands: z.array(command).safeParse(raw.commands).data ?? null,
    createdAt,
    updatedAt,
  }),
  timeOf: ({ updatedAt, createdAt }) => updatedAt ?? createdAt ?? undefined,
}

const REMOVED = '[removed]'

/** The item without the arguments of live-response commands: they may be secret. */
function withoutParams(raw: Record<string, unknown>): Record<string, unknown> {
  const { commands } = raw
  if (!commands) return raw
  return { ...raw, commands: Array.isArray(commands) ? commands.map(hideParams) : REMOVED }
}

function hideParams(sent: { command?: { params?: unknown } }): unknown {
  const params = sent?.command?.params
  if (!params) return sent
  const hidden = Array.isArray(params)
    ? params.map((param) => ({ key: param?.key ?? null, value: REMOVED }))
    : REMOVED
  return { ...sent, command: { ...sent.command, params: hidden } }
}

const text = textField.catch(null)
const command = z
  .object({
    index: z.int().nullable().catch(null),
    commandStatus: text,
    command: z.object({ type: text }).catch({ type: null }),
    errors: z.array(z.unknown()).catch([]),
  })
  .transform(({ index, commandStatus, command: { type }, errors }) => {
    const error = errors.map((one) => (typeof one === 'string' ? one : JSON.stringify(one)))
    return { index, type, status: commandStatus, error: error.join('; ') || null }
  })
