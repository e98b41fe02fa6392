import { z } from 'zod'
import { createExportRoutes, type ExportDeps } from '../exports/routes.ts'
import { bucketFor } from '../exports/snapshot-table.ts'
import { RequestError } from '../platform/errors.ts'
import { defineRoute } from '../platform/route.ts'
import { isConflict } from '../platform/table.ts'
import { AV_HEALTH } from './export.ts'

const deviceSchema = z.strictObject({
  device: z
    .record(z.string(), z.unknown())
    .describe('The columns of the snapshot row; `other` holds the remaining fields.'),
  snapshot: z.strictObject({ runId: z.string(), generatedTime: z.string().nullable() }),
})

const showDevice = defineRoute<ExportDeps>()({
  name: 'show-av-health-device',
  method: 'GET',
  path: 'av-health/devices/{machineId}',
  summary: 'One device as stored in the current snapshot',
  mcp: 'One device as Defender exported it for the current snapshot, which may be hours old. It does not tell what happened since.',
  params: z.strictObject({
    machineId: z
      .string()
      .regex(
        /^[0-9A-Za-z._-]{1,128}$/,
        'must be 1 to 128 letters, digits, dots, dashes or underscores',
      ),
  }),
  answers: { 200: { description: 'The device.', body: deviceSchema } },
  async handle({ params }, { engine }) {
    const machineId = params.machineId.toLowerCase()
    const { row, current } = await findDevice(engine, machineId)
    if (!row) {
      throw new RequestError({
        status: 404,
        problem: 'device-not-in-snapshot',
        title: 'The device is not in the current snapshot',
        detail: `Snapshot ${current.runId} holds ${current.devices} device${current.devices === 1 ? '' : 's'}, but not this one.`,
        fix: 'Check the device id. A device that was onboarded after this snapshot is in the next one.',
      })
    }
    const { other, ...columns } = row.columns
    const device = { ...columns, ...(other !== undefined && { other: JSON.parse(String(other)) }) }
    const { runId, generatedTime } = current
    return { status: 200, body: { device, snapshot: { runId, generatedTime } } }
  },
})

async function findDevice(engine: ExportDeps['engine'], machineId: string, mayRetry = true) {
  const { runs, table } = engine
  const current = await runs.current()
  if (!current) {
    throw new RequestError({
      status: 404,
      problem: 'no-snapshot-yet',
      title: 'There is no snapshot yet',
      detail: 'No export has been published yet.',
      fix: 'POST /api/av-health/exports starts an export.',
    })
  }
  try {
    const partition = bucketFor(machineId, current.buckets)
    return { current, row: await table(current.table).get(partition, machineId) }
  } catch (error) {
    // Between the two reads, another snapshot became current and this one was dropped.
    if (mayRetry && isConflict(error, 'no-table')) return findDevice(engine, machineId, false)
    throw error
  }
}

/** Every route of the antivirus-health flow. */
export const avHealthRoutes = [...createExportRoutes(AV_HEALTH), showDevice]
