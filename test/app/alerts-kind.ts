import { z } from 'zod'
import {
  anyState,
  itemIdSchema,
  pickFields,
  type Resource,
  textField,
} from '../../shared/changes/resource.ts'

const item = z.looseObject({
  id: itemIdSchema,
  status: z.string().min(1),
  alertCreationTime: textField.catch(null),
  lastUpdateTime: textField.catch(null),
})

const named = { machineId: textField, computerDnsName: textField, severity: textField }
const openStates = ['New', 'InProgress']

/** A third watched kind, for tests: https://learn.microsoft.com/defender-endpoint/api/get-alerts */
export const alerts: Resource = {
  name: 'alerts',
  title: 'alerts',
  eventPrefix: 'defender-relay.alert',
  schedule: { setting: 'ALERTS_SCHEDULE', usual: '15 * * * * *' },
  path: '/api/alerts',
  probePath: '/api/alerts?$top=1',
  roles: ['Alert.Read.All', 'Alert.ReadWrite.All'],
  limit: { perMinute: 100, perHour: 1500 },
  openStates,
  filter: (wanted) =>
    'openNow' in wanted
      ? anyState('status', openStates)
      : `alertCreationTime ge ${wanted.createdSince}`,
  terminalStates: ['Resolved'],
  mayReopen: true,
  overdueHours: new Map(),
  read(raw) {
    const read = item.safeParse(raw)
    if (!read.success) return undefined
    const { id, status, alertCreationTime, lastUpdateTime } = read.data
    return {
      id,
      state: status,
      createdAt: alertCreationTime,
      updatedAt: lastUpdateTime,
      raw: raw as Record<string, unknown>,
    }
  },
  data: { ...named, createdAt: textField, updatedAt: textField },
  toData: ({ raw, createdAt, updatedAt }) => ({
    ...pickFields(raw, Object.keys(named)),
    createdAt,
    updatedAt,
  }),
  timeOf: ({ updatedAt, createdAt }, kind) =>
    (kind === 'appeared' ? createdAt : updatedAt) ?? undefined,
}
