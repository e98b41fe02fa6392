import { z } from 'zod'
import { RequestError } from '../platform/errors.ts'
import { invalidRequest } from '../platform/request.ts'
import type { Route } from '../platform/route.ts'
import {
  type DeviceCatalog,
  type DeviceDeps,
  deviceRoute,
  machineId,
  nullable,
  snapshotSchema,
  type Values,
} from './deps.ts'

const changeSchema = z.strictObject({
  at: z.string(),
  runId: z.string(),
  kind: z.string(),
  from: z.record(z.string(), z.unknown()),
  to: z.record(z.string(), z.unknown()),
})

/** The routes of one device, with the words and shapes of the domains. */
export function createDeviceRoutes({ conditions, standing }: DeviceCatalog): Route<DeviceDeps>[] {
  const showDevice = deviceRoute({
    name: 'show-device',
    method: 'GET',
    path: 'devices/{machineId}',
    summary: 'One device: antivirus health, standing, open actions and last changes',
    mcp: 'One device: antivirus health of the current snapshot, which may be hours old, and what machine actions say. Unknown is not released.',
    params: z.strictObject({ machineId }),
    answers: {
      200: {
        description: 'The device.',
        body: z.strictObject({
          machineId: z.string(),
          computerDnsName: nullable,
          avHealth: z.strictObject({
            snapshot: snapshotSchema.describe('Null before the first snapshot.'),
            device: z
              .record(z.string(), z.unknown())
              .nullable()
              .describe(
                'The columns of the snapshot row; null when the snapshot does not hold it.',
              ),
            conditions: z.array(z.enum(conditions)).nullable(),
            firstSeenAt: nullable,
            goneSince: nullable,
            lastChanges: z.array(changeSchema),
          }),
          standing: standing.extend({ asOf: nullable }),
        }),
      },
    },
    async handle({ params }, deps) {
      const id = params.machineId.toLowerCase()
      const [fleet, standings] = await Promise.all([deps.fleet(), deps.standings()])
      const [stored, shown] = await Promise.all([fleet.showDevice(id), standings.show(id)])
      const { isKnown, avHealth } = stored
      if (!isKnown && !shown.isKnown) throw unknownDevice(id, avHealth.snapshot === null)
      const device = avHealth.device as Values | null
      const name = device?.computerDnsName ?? shown.computerDnsName
      const { standing } = shown
      const body = { machineId: id, computerDnsName: name ?? null, avHealth, standing }
      return { status: 200, body }
    },
  })

  const listHistory = deviceRoute({
    name: 'list-device-history',
    method: 'GET',
    path: 'devices/{machineId}/history',
    summary: 'What changed on a device between snapshots, newest first',
    mcp: 'What changed on one device between snapshots. It does not hold what changed and changed back in between.',
    params: z.strictObject({ machineId }),
    answers: { 200: { description: 'A page of changes.' } },
    list: {
      name: 'device-history',
      member: 'history',
      owner: 'machineId',
      of: changeSchema,
      position: z.string().max(300),
      more: { scanned: z.int() },
      csv: ['at', 'kind', 'from', 'to', 'runId'],
    },
    async handle({ params, query: { limit, after } }, deps) {
      const fleet = await deps.fleet()
      const id = params.machineId.toLowerCase()
      if (after !== undefined && !after.startsWith(`${id}|`))
        throw invalidRequest([{ path: 'query.after', message: 'is not a "next" of this list' }])
      return { status: 200, body: await fleet.listHistory(id, limit, after) }
    },
  })

  return [showDevice, listHistory]
}

function unknownDevice(id: string, isEmpty: boolean) {
  const looksLikeId = /^[0-9a-f]{40}$/.test(id)
  return new RequestError({
    status: 404,
    problem: 'device-not-found',
    title: 'There is no such device',
    detail: isEmpty
      ? 'There is no snapshot yet, and no machine action names a device with this id.'
      : 'No snapshot and no machine action names a device with this id.',
    fix: looksLikeId
      ? 'Check the id. A device that was onboarded after the current snapshot is in the next one.'
      : 'This route takes machine ids. GET /api/devices?name=… finds devices by name.',
  })
}
