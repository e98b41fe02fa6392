import { expect, test } from 'vitest'
import { readWithColumns as readDevice } from './read-columns.ts'

const read = (record: object) => {
  const row = readDevice({ DeviceId: 'a1', ...record })
  if (!row.ok) throw new Error(row.reason)
  return row
}

test.each<[string, object, string[]]>([
  ['single quotes', { DeviceGatheredInfo: "{'AvMode': '0'}" }, ['deviceGatheredInfo']],
  ['a text inside a text', { DeviceGatheredInfo: '"{}"' }, ['deviceGatheredInfo']],
  ['a cut-off text', { AvScanResults: '{"Quick":{"ScanSt' }, ['avScanResults']],
  ['a mode that is no number', { AvMode: 'Active' }, ['avMode']],
  ['a mode that is an object', { AvMode: { value: 0 } }, ['avMode']],
  ['a flag that is a number', { avIsEngineUpToDate: 1 }, ['avIsEngineUpToDate']],
  ['a time with AM', { LastSeenTime: '11/28/2026 8:00:00 AM' }, ['lastSeenTime']],
  ['a scan that is a text', { AvScanResults: { Full: 'Completed' } }, ['fullScanResult']],
  ['a result that is a list', { QuickScanResult: ['Completed'] }, ['quickScanResult']],
  ['a group id that is a text', { RbacGroupId: 'none' }, ['rbacGroupId']],
  [
    'one field in two spellings',
    { AvIsEngineUptodate: 'Yes', avIsEngineUpToDate: 'No' },
    ['avIsEngineUpToDate'],
  ],
])('%s is present and unreadable: it is counted, and stored as sent', (_, sent, fields) => {
  const { unreadable, columns } = read(sent)

  expect(unreadable).toEqual(fields)
  const [value] = Object.values(sent).map((one) => JSON.stringify(one).replaceAll('\\', ''))
  const stored = JSON.stringify(columns).replaceAll('\\', '')
  expect(stored).toContain(fields[0] === 'fullScanResult' ? '"Completed"' : value)
})

test.each<[string, object]>([
  ['null', { AvMode: null, AvScanResults: null, DeviceGatheredInfo: null, LastSeenTime: null }],
  ['an empty text', { AvMode: '', AvScanResults: '', DeviceGatheredInfo: '', LastSeenTime: '' }],
  ['null as JSON text', { AvScanResults: 'null', DeviceGatheredInfo: 'null' }],
  ['an empty list or object', { AvScanResults: '[]', DeviceGatheredInfo: '{}' }],
  ['a scan without a value', { AvScanResults: { Quick: null, Full: '', Custom: [] } }],
  ['a dash, which stands for no value', { AvMode: '-', QuickScanTime: '-', FullScanResult: '-' }],
  ['a number without a known meaning', { AvMode: 99 }],
])('%s is readable', (_, sent) => {
  expect(read(sent).unreadable).toEqual([])
})

test('a mode by its name is never one of the known modes', () => {
  expect(read({ AvMode: 'Active' }).columns.avModeName).toBe('unknown')
})

test('a new kind or member of scan results is counted as unknown: a renamed one would be lost', () => {
  const scans = { Quick: { Status: 'Completed' }, Deep: { ScanStatus: 'Failed' } }

  const { unknownFields } = read({ AvScanResults: JSON.stringify(scans) })

  expect(unknownFields).toEqual(['AvScanResults.Quick.Status', 'AvScanResults.Deep'])
})

test('registry settings of Windows and the LTSC sign are known', () => {
  const names = ['SchUseStrongCrypto35', 'SchUseStrongCrypto40', 'SchUseStrongCrypto35Wow6432']
  const more = ['SchUseStrongCrypto40Wow6432', 'IsWindowsLtscVersionRunning']
  const fields = Object.fromEntries([...names, ...more].map((name) => [name, '1']))

  const { unknownFields, unreadable } = read({ DeviceGatheredInfo: JSON.stringify(fields) })

  expect([unknownFields, unreadable]).toEqual([[], []])
})
