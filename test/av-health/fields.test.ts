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
])('%s stands for the column %s', (name, column) => {
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
])('%.20s stands for nothing, however often it is asked for', (name) => {
  expect([findField(name), findField(name)]).toEqual([undefined, undefined])
})

test('known names are found when thousands of unknown ones have gone by', () => {
  for (let n = 0; n < 5000; n++) findField(`unknown${n}`)

  expect(findField('aVmODE')).toEqual({ column: 'avMode', type: 'mode' })
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
])('platform "%s" is of kind %s', (platform, kind) => {
  expect(osKind(platform)).toBe(kind)
})

test('what has nothing to do with antivirus health is known for it', () => {
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
