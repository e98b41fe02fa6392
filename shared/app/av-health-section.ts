import { AV_HEALTH, createAvHealthExport } from '../av-health/export-kind.ts'
import type { ExportEngine } from '../exports/engine.ts'
import { createFileLedger } from '../exports/file-ledger.ts'
import { createRunLedger } from '../exports/run-ledger.ts'
import { createBatchWriter } from '../platform/batch-writer.ts'
import { type Budget, createBudget } from '../platform/budget.ts'
import { readSection } from '../platform/config.ts'
import { createTokenSource } from '../platform/credential.ts'
import { createHttp } from '../platform/http.ts'
import type { Log } from '../platform/log.ts'
import { createUpstreamWatch, type UpstreamWatch } from '../platform/upstream-watch.ts'
import { clouds, scopeOf } from '../upstreams/clouds.ts'
import { createDefender } from '../upstreams/defender.ts'
import { type DefenderFamily, defenderLimits } from '../upstreams/defender-call.ts'
import { createExportFiles, httpsHostsUnder } from '../upstreams/export-file.ts'
import { parseLink } from '../upstreams/export-link.ts'
import type { Base, Given } from './base.ts'
import { avHealthSettings, defenderSettings } from './settings.ts'
import { VERSION } from './version.ts'

/** The antivirus-health flow, ready to use. */
export interface AvHealthSection {
  /** The engine, telling its story to one invocation's log. */
  engine(log: Log): ExportEngine
  budget: Budget<DefenderFamily>
  /** How the upstream fares. */
  watch: UpstreamWatch
  schedule: string
}

const USER_AGENT = `defender-relay/${VERSION}`
/** Batches under way at once: more brings nothing at the latencies of the service. */
const IN_FLIGHT = 8
const GRACE_MS = 60 * 60 * 1000

/** Puts the antivirus-health flow together from its settings. */
export function createAvHealthSection(given: Given, { credential, table }: Base): AvHealthSection {
  const { env, clock, upstreamOrigin } = given
  const settings = readSection('avHealth', env, { ...defenderSettings, ...avHealthSettings })
  const cloud = clouds[settings.DEFENDER_CLOUD]
  const scope = scopeOf({ audience: settings.DEFENDER_AUDIENCE ?? cloud.audience })
  const baseUrl = new URL(settings.DEFENDER_BASE_URL ?? cloud.apiBase)
  const budget = createBudget({ upstream: 'defender', clock, limits: defenderLimits })
  const defender = createDefender({
    http: createHttp({ upstream: 'defender', clock, userAgent: USER_AGENT }),
    token: createTokenSource({ credential, scope, clock }).token,
    budget,
    baseUrl,
  })
  const watch = createUpstreamWatch(table('Budgets'), 'defender', clock)
  const exportFiles = createExportFiles({
    http: createHttp({ upstream: 'export-files', clock, userAgent: USER_AGENT }),
    isAllowedLink: upstreamOrigin ? ({ origin }) => origin === upstreamOrigin : httpsHostsUnder(cloud.blobSuffix),
  })
  const kind = createAvHealthExport(
    {
      async listFiles() {
        const { files, generatedTime } = await watch.over(() => defender.listExportFiles(settings.AV_HEALTH_LINK_HOURS))
        return { generatedTime, files: files.map((link) => ({ link, path: parseLink(link).blobPath })) }
      },
      openFile: (link) => exportFiles.open(link),
      pages: () => defender.deviceAvInfoPages(),
    },
    { method: settings.AV_HEALTH_METHOD, buckets: settings.AV_HEALTH_BUCKETS },
  )
  const parts = {
    kind,
    runs: createRunLedger(table('Exports'), AV_HEALTH),
    files: createFileLedger(table('Exports'), AV_HEALTH),
    table,
    writer: createBatchWriter({ inFlight: IN_FLIGHT }),
    clock,
    retention: { days: settings.AV_HEALTH_RETENTION_DAYS, graceMs: GRACE_MS, ...given.retention },
  }
  return { engine: (log) => ({ ...parts, log }), budget, watch, schedule: settings.AV_HEALTH_SCHEDULE }
}
