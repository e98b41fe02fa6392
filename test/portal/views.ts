import { sampleSessions } from '../../local/simulator/scans/sample-scans.ts'
import { scannedDevice } from './world.ts'

/** The addresses of all views; those of one thing are made from what the app has. */
export async function findViews(get: (path: string) => Promise<unknown>): Promise<string[]> {
  const first = async (path: string, list: string, id: string) => {
    const body = (await get(path)) as Record<string, Record<string, string>[]>
    const value = body[list]?.[0]?.[id]
    return value === undefined ? [] : [encodeURIComponent(value)]
  }
  const action = await first('changes/machine-actions/items?limit=1', 'items', 'id')
  const investigation = await first('changes/investigations/items?limit=1', 'items', 'id')
  const runs = (await get('av-health/exports')) as { runs: { runId: string; state: string }[] }
  const run = ['failed', 'published'].flatMap((state) => {
    const found = runs.runs.find((one) => one.state === state)
    return found ? [found.runId] : []
  })
  const { subscriptions } = (await get('subscriptions')) as { subscriptions: { id: string }[] }
  const definition = await first('scan-history/defender/definitions?limit=1', 'definitions', 'id')
  const device = await first('devices?limit=1&condition=signature-stale', 'devices', 'machineId')
  const held = await first('devices?limit=1&isolation=isolated', 'devices', 'machineId')
  return [
    'overview',
    'fleet',
    'fleet?by=signature&days=90',
    'devices',
    'devices?condition=signature-stale',
    'devices?isolation=isolated',
    ...[...device, ...held].map((id) => `devices/${id}`),
    ...device.map((id) => `devices/${id}?show=history`),
    'changes',
    'changes?since=30d',
    'actions/machine-actions?show=open',
    'actions/machine-actions?show=all',
    'actions/investigations',
    ...action.map((id) => `actions/machine-actions/${id}`),
    ...investigation.map((id) => `actions/investigations/${id}`),
    'exports',
    ...run.map((id) => `exports/${id}`),
    'deliveries',
    ...subscriptions.map(({ id }) => `deliveries/${id}`),
    'scans',
    'scans/definition',
    `scans/session?id=${sampleSessions[1]}`,
    // After the look-up that names it.
    `devices/${scannedDevice.machineId}`,
    'scans/tenable?id=101',
    ...definition.map((id) => `scans/definition?id=${id}`),
    'budgets',
  ]
}
