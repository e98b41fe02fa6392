import { z } from 'zod'
import { RequestError } from '../platform/errors.ts'
import type { Route } from '../platform/route.ts'
import {
  createListDevices,
  type DeviceCatalog,
  type DeviceDeps,
  deviceRoute,
  nullable,
} from './list.ts'

/** The routes of devices, with the words and shapes of the domains. */
export function createDeviceRoutes(catalog: DeviceCatalog): Route<DeviceDeps>[] {
  const showDevice = deviceRoute({
    name: 'show-device',
    method: 'GET',
    path: 'devices/{machineId}',
    summary: 'One device: antivirus health, standing, last changes and events, known scans',
    mcp: 'One device: antivirus health of the current snapshot, which may be hours old, what machine actions say, known scans. Unknown is not released; other scans may name it.',
    params: z.strictObject({ machineId: catalog.machineId }),
    answers: {
      200: {
        description: 'The device.',
        body: z.strictObject({
          machineId: z.string(),
          computerDnsName: nullable,
          avHealth: catalog.avHealth,
          standing: catalog.standing.extend({ asOf: nullable }),
          lastEvents: z
            .array(catalog.lastEvent)
            .describe('The last ten events about its machine actions, newest first.'),
          knownScans: catalog.knownScans
            .nullable()
            .describe('Scans of the last 90 days that name it; null where its name is not known.'),
        }),
      },
    },
    async handle({ params: { machineId } }, deps) {
      const [fleet, standings] = await Promise.all([deps.fleet(), deps.standings()])
      const [{ isKnown, avHealth }, { isKnown: isActedOn, ...shown }] = await Promise.all([
        fleet.show(machineId),
        standings.show(machineId),
      ])
      if (!isKnown && !isActedOn) throw unknownDevice(machineId, avHealth.snapshot === null)
      const device = avHealth.device as { computerDnsName?: string } | null
      const computerDnsName = device?.computerDnsName ?? shown.computerDnsName
      const knownScans = computerDnsName === null ? null : await deps.knownScans(computerDnsName)
      return { status: 200, body: { ...shown, computerDnsName, avHealth, knownScans } }
    },
  })

  return [createListDevices(catalog), showDevice]
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
