import { z } from 'zod'
import { createExportRoutes, type ExportDeps } from '../exports/routes.ts'
import { bucketOf } from '../exports/snapshot-table.ts'
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
  summary: 'One device as the current snapshot has it',
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
    const { row, current } = await find(engine, machineId)
    if (!row) {
      throw new RequestError({
        status: 404,
        problem: 'device-not-in-snapshot',
        title: 'The current snapshot does not hold this device',
        detail: `Snapshot ${current.runId} holds ${current.devices} devices, and not this one.`,
        fix: 'Check the device id; a device that was onboarded since stands in the next snapshot.',
      })
    }
    const { other, ...columns } = row.columns
    const device = {
      ...columns,
      ...(typeof other === 'string' ? { other: JSON.parse(other) } : {}),
    }
    const { runId, generatedTime } = current
    return { status: 200, body: { device, snapshot: { runId, generatedTime } } }
  },
})

async function find(
  engine: Pick<ExportDeps['engine'], 'runs' | 'table'>,
  machineId: string,
  again = true,
) {
  const { runs, table } = engine
  const current = await runs.current()
  if (!current) {
    throw new RequestError({
      status: 404,
      problem: 'no-snapshot-yet',
      title: 'There is no snapshot yet',
      detail: 'No export has been published so far, so nothing is known of any device.',
      fix: 'POST /api/av-health/exports starts an export.',
    })
  }
  try {
    return {
      current,
      row: await table(current.table).get(bucketOf(machineId, current.buckets), machineId),
    }
  } catch (error) {
    // Another snapshot became current, and this one's time was up, between the two reads.
    if (again && isConflict(error, 'no-table')) return find(engine, machineId, false)
    throw error
  }
}

/** Every route of the antivirus-health flow. */
export const avHealthRoutes = [...createExportRoutes(AV_HEALTH), showDevice]
