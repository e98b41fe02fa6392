import { announceSnapshot } from '../../av-health/events.ts'
import { AV_HEALTH, createAvHealthExport } from '../../av-health/export.ts'
import { dispatch } from '../../events/delivery/dispatch.ts'
import type { ExportEngine } from '../../exports/engine.ts'
import { createFileLedger, createLinks } from '../../exports/file-store.ts'
import { createRunLedger } from '../../exports/run-store.ts'
import { createBatchWriter } from '../../platform/batch-writer.ts'
import { readSection } from '../../platform/config.ts'
import { createHttp } from '../../platform/http.ts'
import type { Traced } from '../../platform/log.ts'
import { HOUR_MS } from '../../platform/time.ts'
import type { UpstreamHealth } from '../../platform/upstream-health.ts'
import { createExportFiles, httpsHostsUnder, parseLink } from '../../upstreams/export-file.ts'
import { defenderFamilies } from '../../upstreams/limits-and-roles.ts'
import { avHealthSettings } from '../settings.ts'
import { type Base, type Options, USER_AGENT } from './base.ts'
import type { DefenderSection } from './defender.ts'
import type { EventsSection } from './events.ts'

/** Batches in flight at once: more is not faster at the latency of the service. */
const IN_FLIGHT = 8

export function createAvHealthSection(
  { env, clock, upstreamOrigin, ...overrides }: Options,
  { table, secrets, blobs }: Base,
  { defender, cloud, healthFor, tenantId }: DefenderSection,
  { feed, events }: EventsSection,
) {
  const settings = readSection('avHealth', env, avHealthSettings)
  const exportFiles = createExportFiles({
    http: createHttp({ upstream: 'export-files', clock, userAgent: USER_AGENT }),
    isAllowedLink: upstreamOrigin
      ? ({ origin }) => origin === upstreamOrigin
      : httpsHostsUnder(cloud.blobSuffix),
  })
  const kind = createAvHealthExport(
    {
      async listFiles() {
        const { files, generatedTime } = await healthFor(defenderFamilies.export).track(() =>
          defender.listExportFiles(settings.AV_HEALTH_LINK_HOURS),
        )
        return {
          generatedTime,
          files: files.map((link) => ({ link, path: parseLink(link).blobPath })),
        }
      },
      openFile: (link) => exportFiles.open(link),
      pages: () => tracked(healthFor(defenderFamilies.avInfo), defender.deviceAvInfoPages()),
    },
    {
      method: settings.AV_HEALTH_METHOD,
      buckets: settings.AV_HEALTH_BUCKETS,
      thresholds: {
        signatureDays: settings.AV_HEALTH_SIGNATURE_DAYS,
        scanDays: settings.AV_HEALTH_SCAN_DAYS,
        notSeenDays: settings.AV_HEALTH_NOT_SEEN_DAYS,
      },
    },
  )
  const deps = {
    kind,
    runs: createRunLedger(table('Exports'), AV_HEALTH),
    files: createFileLedger(table('Exports'), AV_HEALTH),
    links: createLinks(secrets, clock),
    table,
    writer: createBatchWriter({ inFlight: IN_FLIGHT, clock }),
    clock,
    acceptsFewer: overrides.acceptsFewer,
    retention: {
      days: settings.AV_HEALTH_RETENTION_DAYS,
      historyDays: settings.AV_HEALTH_HISTORY_DAYS,
      graceMs: HOUR_MS,
      ...overrides.retention,
    },
  }
  const engine = ({ log, trace }: Traced): ExportEngine => {
    const made: ExportEngine = {
      ...deps,
      log,
      trace,
      async announce(run) {
        const source = `/tenants/${(await tenantId()) ?? 'unknown'}/defender/${AV_HEALTH}`
        if (await announceSnapshot({ engine: made, feed, source, run }))
          await dispatch(events({ log, trace }), AV_HEALTH)
      },
    }
    return made
  }
  return {
    engine,
    schedule: settings.AV_HEALTH_SCHEDULE,
    /** The container of the Parquet files, where they are wanted. */
    blobs: settings.AV_HEALTH_PARQUET ? blobs(AV_HEALTH) : undefined,
  }
}

/** The same pages; the health tracks the call for each of them. */
async function* tracked<T>({ track }: UpstreamHealth, pages: AsyncGenerator<T>): AsyncGenerator<T> {
  for (;;) {
    const { value, done } = await track(() => pages.next())
    if (done) return
    yield value
  }
}
