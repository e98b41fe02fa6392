import type { ExportKind, Fleet } from '../exports/kind.ts'
import { findConditions, rankColumns } from './conditions.ts'
import { columns, essentialColumns } from './fields.ts'
import { freshness, readDevice } from './record.ts'
import {
  cutoffsAt,
  dimensionsOf,
  findTransitions,
  membershipKinds,
  readState,
  stateColumns,
  type Thresholds,
} from './transitions.ts'

/** The name of this export in the ledger and in answers. */
export const AV_HEALTH = 'av-health'

/** Makes the antivirus-health export of Defender for Endpoint; its rows come from files or from a paged list. */
export function createAvHealthExport(
  source: Pick<ExportKind, 'listFiles' | 'openFile' | 'pages'>,
  { thresholds, ...options }: Pick<ExportKind, 'method' | 'buckets'> & { thresholds: Thresholds },
): ExportKind {
  return {
    name: AV_HEALTH,
    ...options,
    ...source,
    fleet: createFleet(thresholds),
    snapshotTable: (runId) => `AvHealthSnapshot${runId}`,
    readRow: readDevice,
    essential: essentialColumns,
    fields: [{ name: 'machineId', type: 'text' }, ...columns],
    freshness,
  }
}

const versions = ['avSignatureVersion', 'avEngineVersion', 'avPlatformVersion']

/** How the snapshots of antivirus health are compared. */
const createFleet = (thresholds: Thresholds): Fleet => ({
  tables: {
    conditions: (runId) => `AvHealthConditions${runId}`,
    names: 'AvHealthNames',
    changes: 'AvHealthChanges',
    devices: 'AvHealthDevices',
    rollups: 'AvHealthRollups',
  },
  thresholds: { ...thresholds },
  columns: [...stateColumns, ...rankColumns, ...versions],
  membershipKinds,
  comparer({ at, thresholds: { signatureDays = 0, scanDays = 0, notSeenDays = 0 }, ...rest }) {
    const { previous, keepsThresholds } = rest
    const frozen = { signatureDays, scanDays, notSeenDays }
    const cutoffs = cutoffsAt(at, frozen)
    const cutoffsBefore = previous && cutoffsAt(previous.at, frozen)
    return (before, after, isKnown) => {
      const was = before && cutoffsBefore ? readState(before, cutoffsBefore) : undefined
      const is = after && readState(after, cutoffs)
      const last = is ?? was
      return {
        transitions: previous ? findTransitions(was, is, { isKnown, keepsThresholds }) : [],
        last: {
          name: last?.name ?? null,
          os: last?.os ?? null,
          group: last?.groupName ?? last?.group ?? null,
        },
        nameBefore: was?.name ?? null,
        ...(after &&
          is && {
            present: {
              conditions: findConditions(after, is),
              columns: after,
              dimensions: dimensionsOf(after, is),
            },
          }),
      }
    }
  },
})
