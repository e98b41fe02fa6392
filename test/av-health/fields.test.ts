import { expect, test } from 'vitest'
import { findField, isIgnored, modeName, osKind } from '../../shared/av-health/fields.ts'

test.each([
  ['AvIsSignatureUptoDate', 'avIsSignatureUpToDate'],
  ['AvIsEngineUptodate', 'avIsEngineUpToDate'],
  ['AvIsPlatformUpToDate', 'avIsPlatformUpToDate'],
  ['DeviceName', 'computerDnsName'],
  ['COMPUTERDNSNAME', 'computerDnsName'],
  ['Timestamp', 'dataRefreshTimestamp'],
  ['rbacgroupid', 'rbacGroupId'],
])('%s is the column %s', (name, column) => {
  expect(findField(name)?.column).toBe(column)
})

test.each([
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  '',
  'avMode2',
  'x'.repeat(10_000),
])('%.20s is no field, also after many look-ups', (name) => {
  expect([findField(name), findField(name)]).toEqual([undefined, undefined])
})

test('known names are found after thousands of unknown ones', () => {
  for (let n = 0; n < 5000; n++) findField(`unknown${n}`)

  expect(findField('aVmODE')).toMatchObject({ column: 'avMode', type: 'mode' })
  expect(findField('unknown4999')).toBeUndefined()
})

test.each([
  ['', 'other'],
  ['0', 'active'],
  ['1', 'passive'],
  ['2', 'disabled'],
  ['3', 'other'],
  ['4', 'edr-block-mode'],
  ['5', 'passive-audit'],
  ['6', 'unknown'],
  ['-1', 'unknown'],
  ['Active', 'unknown'],
  ['constructor', 'unknown'],
  ['__proto__', 'unknown'],
])('mode "%s" means %s', (mode, name) => {
  expect(modeName(mode)).toBe(name)
})

test.each([
  ['Windows11', 'windows'],
  ['WindowsServer2022', 'windows'],
  ['macOS', 'mac'],
  ['Linux', 'linux'],
  ['Ubuntu', 'linux'],
  ['RedHatEnterpriseLinux', 'linux'],
  ['SLES', 'linux'],
  ['Android', undefined],
  ['iOS', undefined],
  ['', undefined],
])('platform "%s" is of the kind %s', (platform, kind) => {
  expect(osKind(platform)).toBe(kind)
})

test('fields that have nothing to do with antivirus health are ignored', () => {
  const names = [
    'EBPFStatus',
    'Log4j_CVE_2021_44228',
    'AsrConfigurationStates',
    'Tls12ClientEnabled',
    'SslV3',
  ]

  expect(names.filter((name) => !isIgnored(name))).toEqual([])
  expect(isIgnored('AvSomethingNew')).toBe(false)
})
