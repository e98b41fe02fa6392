import { readSection } from '../../platform/config.ts'
import type { Log } from '../../platform/log.ts'
import { singleFlight } from '../../platform/single-flight.ts'
import { DAY_MS } from '../../platform/time.ts'
import { createScanCache } from '../../scan-history/cache.ts'
import type { Entry, LookupDeps } from '../../scan-history/lookup.ts'
import { scanHistorySettings } from '../settings.ts'
import type { Base, Options } from './base.ts'

/** Creates what look-ups of every source share, from its settings. */
export function createScanHistorySection({ env, clock }: Options, { table }: Base) {
  const { SCAN_CACHE_DAYS } = readSection('scanHistory', env, scanHistorySettings)
  const cache = createScanCache(table('ScanCache'), clock)
  const join = singleFlight((_key: string, work: () => Promise<Map<string, Entry>>) => work())
  return {
    cache,
    deps: (log: Log): LookupDeps => ({
      cache,
      join,
      clock,
      finalMs: SCAN_CACHE_DAYS * DAY_MS,
      onCacheFailure: (error) =>
        log.warn('an answer could not be cached', { reason: String(error) }),
    }),
  }
}
