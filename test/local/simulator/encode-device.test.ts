import { expect, test } from 'vitest'
import type { Observation } from '../../../local/simulator/device.ts'
import { encodeJsonRow, encodeLine } from '../../../local/simulator/encode-device.ts'
import { expectedDevice } from '../../../local/simulator/expected-device.ts'
import { momentAt } from '../../../local/simulator/moment.ts'
import type { Random } from '../../../local/simulator/random.ts'

/** Always chooses the most common way to write a row. */
const usual: Random = {
  next: () => 0.5,
  int: () => 0,
  chance: () => false,
  pick: ([first]) => first,
}
/** Always chooses the rarest way to write a row. */
const odd: Random = { ...usual, next: () => 0.2, chance: () => true }

const at = (text: string, fraction?: string) => momentAt(Date.parse(text), fraction)

const seen: Observation = {
  deviceId: '00ab',
  name: 'say "hi"\\',
  platform: 'WindowsServer2019',
  osKind: 'windows',
  osVersion: '10.0.17763.2330',
  group: { id: 86, name: 'Servers' },
  refreshedAt: at('2026-11-20T07:05:09Z'),
  seenAt: at('2026-11-19T23:59:59Z', '1230000'),
  mode: '4',
  signature: {
    version: '1.435.7.0',
    updatedAt: at('2026-11-20T01:00:00Z'),
    publishedAt: null,
    upToDate: false,
    ring: 'Broad',
  },
  engine: {
    version: '1.1.25010.1',
    updatedAt: null,
    publishedAt: null,
    upToDate: 'unknown',
    ring: null,
  },
  platformPart: { version: null, updatedAt: null, publishedAt: null, upToDate: null, ring: null },
  platformExpiresAt: null,
  signatureRefreshedAt: null,
  modeRefreshedAt: null,
  cloudProtection: null,
  quick: { result: 'Failed', error: '0x80508023', at: at('2026-11-18T09:08:07Z') },
  full: { result: '', error: '', at: null },
  custom: null,
  scanForm: 'nested',
  otherFields: { EBPFStatus: null, IsAvEngineLoaded: true },
  columnsOther: { NewScore: 1.5 },
  sparse: false,
}

test('a line holds the scans as text inside text', () => {
  const line = encodeLine(seen, usual)

  expect(line).toBe(
    '{"RbacGroupName":"Servers","Timestamp":"2026-11-20 07:05:09","LastSeenTime":"2026-11-19 23:59:59.1230000",' +
      '"DeviceName":"say \\"hi\\"\\\\","OsPlatform":"WindowsServer2019","OsVersion":"10.0.17763.2330",' +
      '"DeviceGatheredInfo":"{\\"AvMode\\":\\"4\\",\\"AvEngineVersion\\":\\"1.1.25010.1\\",' +
      '\\"AvSignatureVersion\\":\\"1.435.7.0\\",\\"AvPlatformVersion\\":null,\\"AvScanResults\\":' +
      '\\"{\\\\\\"Quick\\\\\\":{\\\\\\"ScanStatus\\\\\\":\\\\\\"Failed\\\\\\",\\\\\\"ErrorCode\\\\\\":' +
      '\\\\\\"0x80508023\\\\\\",\\\\\\"Timestamp\\\\\\":\\\\\\"2026-11-18 09:08:07\\\\\\"},\\\\\\"Full\\\\\\":' +
      '{\\\\\\"ScanStatus\\\\\\":\\\\\\"\\\\\\",\\\\\\"ErrorCode\\\\\\":\\\\\\"\\\\\\",\\\\\\"Timestamp\\\\\\":null},' +
      '\\\\\\"Custom\\\\\\":null}\\",\\"AvModeDataRefreshTime\\":null,\\"CloudProtectionState\\":null,' +
      '\\"AvEngineUpdateTime\\":null,\\"AvSignatureUpdateTime\\":\\"2026-11-20 01:00:00\\",' +
      '\\"AvPlatformUpdateTime\\":null,\\"AvIsSignatureUptoDate\\":\\"False\\",' +
      '\\"AvIsEngineUptodate\\":\\"Unknown\\",\\"AvIsPlatformUptodate\\":null,' +
      '\\"AvSignaturePublishTime\\":null,\\"AvPlatformPublishTime\\":null,\\"AvPlatformExpirationTime\\":null,' +
      '\\"AvEnginePublishTime\\":null,\\"AvSignatureRing\\":\\"Broad\\",\\"AvPlatformRing\\":null,' +
      '\\"AvEngineRing\\":null,\\"AvSignatureDataRefreshTime\\":null,\\"EBPFStatus\\":null,' +
      '\\"IsAvEngineLoaded\\":true}","DeviceId":"00ab","RbacGroupId":86,"NewScore":1.5}',
  )
})

test('the rarest way to write the same row gives a different text', () => {
  const line = JSON.parse(encodeLine(seen, odd))

  expect(line.DeviceId).toBe('00AB')
  expect(line.Timestamp).toBe('2026-11-20 7:05:09')
  expect(line.DeviceGatheredInfo).toMatchObject({
    avMode: 4,
    avIsSignatureUpToDate: false,
    avIsPlatformUpToDate: null,
  })
})

test('the expected columns do not depend on how the row is written', () => {
  const device = expectedDevice(seen, [{ file: 1, line: 2 }], 'files')

  expect(device).toEqual({
    machineId: '00ab',
    computerDnsName: 'say "hi"\\',
    osKind: 'windows',
    osPlatform: 'WindowsServer2019',
    osVersion: '10.0.17763.2330',
    avMode: '4',
    avModeName: 'edr-block-mode',
    avSignatureVersion: '1.435.7.0',
    avEngineVersion: '1.1.25010.1',
    lastSeenTime: '2026-11-19T23:59:59.1230000Z',
    quickScanResult: 'Failed',
    quickScanError: '0x80508023',
    quickScanTime: '2026-11-18T09:08:07Z',
    dataRefreshTimestamp: '2026-11-20T07:05:09Z',
    avSignatureUpdateTime: '2026-11-20T01:00:00Z',
    avIsSignatureUpToDate: 'false',
    avIsEngineUpToDate: 'unknown',
    avIsPlatformUpToDate: 'unknown',
    avSignatureRing: 'Broad',
    rbacGroupId: 86,
    rbacGroupName: 'Servers',
    other: { IsAvEngineLoaded: true, NewScore: 1.5 },
    sources: [{ file: 1, line: 2 }],
  })
})

test('the JSON method writes flags as text, scans flat and empty text for nothing', () => {
  const row = encodeJsonRow(seen, usual)

  expect(row).toMatchObject({
    id: '00ab',
    machineId: '00ab',
    avMode: '4',
    avIsSignatureUpToDate: 'False',
    avIsPlatformUpToDate: 'Unknown',
    quickScanTime: '2026-11-18T09:08:07Z',
    fullScanResult: '',
    fullScanTime: null,
    rbacGroupId: 86,
  })
})
