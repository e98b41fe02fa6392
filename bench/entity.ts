import { bucketFor } from '../shared/exports/snapshot-table.ts'

/** Columns of the paged method with a value, as a straightforward import would store them. */
const columns = [
  'computerDnsName',
  'osKind',
  'osPlatform',
  'osVersion',
  'avMode',
  'avSignatureVersion',
  'avEngineVersion',
  'avPlatformVersion',
  'lastSeenTime',
  'quickScanResult',
  'quickScanError',
  'quickScanTime',
  'fullScanResult',
  'fullScanError',
  'fullScanTime',
  'dataRefreshTimestamp',
  'avEngineUpdateTime',
  'avSignatureUpdateTime',
  'avPlatformUpdateTime',
  'avIsSignatureUpToDate',
  'avIsEngineUpToDate',
  'avIsPlatformUpToDate',
  'avSignaturePublishTime',
  'avSignatureDataRefreshTime',
  'avModeDataRefreshTime',
  'cloudProtectionState',
  'rbacGroupName',
  'rbacGroupId',
]

export type Entity = { partitionKey: string; rowKey: string } & Record<string, string | number>

/** An entity from a row of the paged method. */
export function entityOf(row: Record<string, unknown>, buckets: number): Entity {
  const id = String(row.machineId)
  const entity: Entity = { partitionKey: bucketFor(id, buckets), rowKey: id, machineId: id }
  for (const name of columns) {
    const value = row[name]
    if (value !== null && value !== undefined && value !== '') entity[name] = value as string
  }
  return entity
}

/** The same as JSON without braces. */
export function membersOf(row: Record<string, unknown>): { id: string; members: string } {
  const { partitionKey: _partition, rowKey: id, ...values } = entityOf(row, 1)
  return { id: String(id), members: JSON.stringify(values).slice(1, -1) }
}
