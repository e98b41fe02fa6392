import { createDefenderCall, type DefenderFamily, type DefenderOptions } from './defender-call.ts'
import { defenderRoles } from './grants.ts'

/** Asks a family of routes the cheapest thing that shows whether it lets us in; throws what the route throws. */
export type DefenderProbe = (family: DefenderFamily) => Promise<void>

/** One row where the route takes `$top`; definitions of scans are few, and the export answers links alone. */
const asked: Record<DefenderFamily, string> = {
  'machine-actions': '/api/machineactions?$top=1',
  investigations: '/api/investigations?$top=1',
  'authenticated-scans': '/api/DeviceAuthenticatedScanDefinitions',
  deviceavinfo: '/api/deviceavinfo?$top=1',
  export: '/api/machines/InfoGatheringExport?sasValidHours=1',
}
const TIMEOUT_MS = 20_000

/** Makes the probe of one Defender tenant. https://learn.microsoft.com/defender-endpoint/api/exposed-apis-list */
export function createDefenderProbe(options: DefenderOptions): DefenderProbe {
  const call = createDefenderCall(options)
  const base = options.baseUrl.href.replace(/\/+$/, '')
  return async (family) => {
    const url = new URL(`${base}${asked[family]}`)
    await call({ url, family, roles: defenderRoles[family], lane: 'person', timeoutMs: TIMEOUT_MS })
  }
}
