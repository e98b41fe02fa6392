import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { freshness } from '../../shared/av-health/record.ts'
import { readWithColumns as readDevice } from './read-columns.ts'

/** Reads a record that must be valid. */
function read(record: unknown) {
  const row = readDevice(record)
  if (!row.ok) throw new Error(row.reason)
  const { other, ...columns } = row.columns
  const rest: unknown = other === undefined ? {} : JSON.parse(z.string().parse(other))
  return { id: row.id, columns, other: rest, unknownFields: row.unknownFields }
}

const columnsOf = (record: object) => read({ DeviceId: 'a1', ...record }).columns
const unknownFlags = {
  avIsSignatureUpToDate: 'unknown',
  avIsEngineUpToDate: 'unknown',
  avIsPlatformUpToDate: 'unknown',
}

describe('a record of the JSON method', () => {
  test('has a column for every documented property, under its own name', () => {
    const sample = z
      .object({ value: z.array(z.unknown()) })
      .parse(
        JSON.parse(
          readFileSync(new URL('../samples/device-av-info.json', import.meta.url), 'utf8'),
        ),
      )

    const { id, columns, other, unknownFields } = read(sample.value[0])

    expect(id).toBe('0a1b2c3d4e5f60718293a4b5c6d7e8f901234567')
    expect(columns).toEqual({
      machineId: id,
      computerDnsName: 'reception-7.example.test',
      osKind: 'windows',
      osPlatform: 'Windows11',
      osVersion: '10.0.22631.4317',
      avMode: '0',
      avModeName: 'active',
      avSignatureVersion: '1.419.112.0',
      avEngineVersion: '1.1.24090.11',
      avPlatformVersion: '4.18.24090.11',
      lastSeenTime: '2026-03-02T09:15:45Z',
      quickScanResult: 'Completed',
      quickScanTime: '2026-03-02T08:10:15.882Z',
      dataRefreshTimestamp: '2026-03-02T10:16:23Z',
      avEngineUpdateTime: '2026-03-01T00:03:39Z',
      avSignatureUpdateTime: '2026-03-02T00:03:39Z',
      avPlatformUpdateTime: '2026-02-20T16:59:35Z',
      avIsSignatureUpToDate: 'true',
      avIsEngineUpToDate: 'false',
      avIsPlatformUpToDate: 'unknown',
      avSignaturePublishTime: '2026-03-02T00:03:39Z',
      avSignatureDataRefreshTime: '2026-03-02T10:00:00Z',
      cloudProtectionState: 'Enabled',
      rbacGroupName: 'Front desk',
      rbacGroupId: 4415,
    })
    expect([other, unknownFields]).toEqual([{}, []])
  })
})

describe('a record of the files', () => {
  const nested = {
    AvMode: 1,
    AvEngineVersion: '1.1.1',
    AvSignatureVersion: '1.419',
    AvPlatformVersion: '4.18',
    AvModeDataRefreshTime: '2026-03-02 01:00:00',
    CloudProtectionState: 'Enabled',
    AvScanResults: JSON.stringify({
      Quick: { ScanStatus: 'Completed', ErrorCode: '', Timestamp: '2026-03-02 02:00:00' },
      Full: { ScanStatus: 'Failed', ErrorCode: '0x80508023', Timestamp: '2026-03-02 3:00:00' },
      Custom: { ScanStatus: 'Canceled', ErrorCode: '0x1', Timestamp: '2026-03-02 04:00:00.5' },
    }),
    AvIsSignatureUptoDate: true,
    AvIsEngineUptodate: 'False',
    AvIsPlatformUptodate: null,
    AvEngineUpdateTime: '2026-03-02 05:00:00',
    AvSignatureUpdateTime: '2026-03-02 06:00:00',
    AvPlatformUpdateTime: '2026-03-02 07:00:00',
    AvSignaturePublishTime: '2026-03-02 08:00:00',
    AvEnginePublishTime: '2026-03-02 09:00:00',
    AvPlatformPublishTime: '2026-03-02 10:00:00',
    AvPlatformExpirationTime: '2026-03-02 11:00:00',
    AvSignatureDataRefreshTime: '2026-03-02 12:00:00',
    AvSignatureRing: 'Broad',
    AvPlatformRing: 'Staged',
    AvEngineRing: 'Preview',
    WdavorHeartbeatEventType: 'MdatpHealth',
    EBPFStatus: 'supported',
    IsAvEngineLoaded: true,
    Log4j_CVE_2021_44228: 'Mitigated',
    AsrConfigurationStates: { '56a863a9': 1 },
    Tls12Enabled: 1,
  }
  const line = {
    DeviceId: 'AB12',
    DeviceName: 'box-1',
    OsPlatform: 'Ubuntu',
    OsVersion: '22.4',
    RbacGroupId: 7,
    RbacGroupName: 'Servers',
    Timestamp: '2026-03-02 13:00:00',
    LastSeenTime: '2026-03-02 12:30:00',
  }

  const columns = {
    machineId: 'ab12',
    computerDnsName: 'box-1',
    osPlatform: 'Ubuntu',
    osKind: 'linux',
    osVersion: '22.4',
    rbacGroupId: 7,
    rbacGroupName: 'Servers',
    dataRefreshTimestamp: '2026-03-02T13:00:00Z',
    lastSeenTime: '2026-03-02T12:30:00Z',
    avMode: '1',
    avModeName: 'passive',
    avEngineVersion: '1.1.1',
    avSignatureVersion: '1.419',
    avPlatformVersion: '4.18',
    avModeDataRefreshTime: '2026-03-02T01:00:00Z',
    cloudProtectionState: 'Enabled',
    quickScanResult: 'Completed',
    quickScanTime: '2026-03-02T02:00:00Z',
    fullScanResult: 'Failed',
    fullScanError: '0x80508023',
    fullScanTime: '2026-03-02T03:00:00Z',
    customScanResult: 'Canceled',
    customScanError: '0x1',
    customScanTime: '2026-03-02T04:00:00.5Z',
    avIsSignatureUpToDate: 'true',
    avIsEngineUpToDate: 'false',
    avIsPlatformUpToDate: 'unknown',
    avEngineUpdateTime: '2026-03-02T05:00:00Z',
    avSignatureUpdateTime: '2026-03-02T06:00:00Z',
    avPlatformUpdateTime: '2026-03-02T07:00:00Z',
    avSignaturePublishTime: '2026-03-02T08:00:00Z',
    avEnginePublishTime: '2026-03-02T09:00:00Z',
    avPlatformPublishTime: '2026-03-02T10:00:00Z',
    avPlatformExpirationTime: '2026-03-02T11:00:00Z',
    avSignatureDataRefreshTime: '2026-03-02T12:00:00Z',
    avSignatureRing: 'Broad',
    avPlatformRing: 'Staged',
    avEngineRing: 'Preview',
  }
  const ignoredFields = {
    WdavorHeartbeatEventType: 'MdatpHealth',
    EBPFStatus: 'supported',
    IsAvEngineLoaded: true,
    Log4j_CVE_2021_44228: 'Mitigated',
    AsrConfigurationStates: { '56a863a9': 1 },
    Tls12Enabled: 1,
  }

  test('has a column for every antivirus field, stores the others and counts none of them as unknown', () => {
    const row = read({ ...line, DeviceGatheredInfo: JSON.stringify(nested) })

    expect(row.columns).toEqual(columns)
    expect([row.other, row.unknownFields]).toEqual([ignoredFields, []])
  })

  test('may hold objects instead of JSON text', () => {
    const open = { ...nested, AvScanResults: JSON.parse(nested.AvScanResults) }

    expect(read({ ...line, DeviceGatheredInfo: open })).toEqual(
      read({ ...line, DeviceGatheredInfo: JSON.stringify(nested) }),
    )
  })

  test('is the same for names in any case', () => {
    const shout = (record: object) =>
      Object.fromEntries(Object.entries(record).map(([name, value]) => [name.toUpperCase(), value]))

    const row = read(shout({ ...line, DeviceGatheredInfo: shout(nested) }))

    expect(row.columns).toEqual(columns)
    expect(row.unknownFields).toEqual([])
  })

  test('does not store parsed data a second time', () => {
    const row = readDevice({
      ...line,
      DeviceGatheredInfo: JSON.stringify({ ...nested, Strange: 'only-here' }),
    })

    expect(JSON.stringify(row).split('only-here')).toHaveLength(2)
    expect(JSON.stringify(row)).not.toMatch(/DeviceGatheredInfo|AvScanResults|1\.1\.1.*1\.1\.1/)
  })

  test('without antivirus data has no antivirus column: null is not a value', () => {
    const nothing = Object.fromEntries(Object.keys(nested).map((name) => [name, null]))

    const row = read({ DeviceId: 'ab12', DeviceGatheredInfo: JSON.stringify(nothing) })

    expect(row).toEqual({
      id: 'ab12',
      columns: { machineId: 'ab12', ...unknownFlags },
      other: {},
      unknownFields: [],
    })
  })

  test('stores data that cannot be parsed as sent', () => {
    expect(read({ DeviceId: 'a1', DeviceGatheredInfo: '{"AvMode":' }).other).toEqual({
      DeviceGatheredInfo: '{"AvMode":',
    })
    expect(read({ DeviceId: 'a1', AvScanResults: '[1]' }).other).toEqual({ AvScanResults: '[1]' })
  })
})

describe('scan results', () => {
  test('that are not grouped are read too, without error and time', () => {
    expect(columnsOf({ QuickScanResult: 'Completed', FullScanResult: '-' })).toMatchObject({
      quickScanResult: 'Completed',
      fullScanResult: '-',
    })
  })

  test('that come in both forms keep the first form', () => {
    const group = { Quick: { ScanStatus: 'Failed' } }

    expect(columnsOf({ AvScanResults: group, QuickScanResult: 'Completed' }).quickScanResult).toBe(
      'Failed',
    )
    expect(columnsOf({ QuickScanResult: 'Completed', AvScanResults: group }).quickScanResult).toBe(
      'Completed',
    )
  })

  test('of an unknown kind or with an unknown member are stored', () => {
    const scans = {
      Quick: { ScanStatus: 'Completed', Duration: 5 },
      Deep: { ScanStatus: 'Failed' },
      Full: 'no',
    }

    const { other } = read({ DeviceId: 'a1', AvScanResults: JSON.stringify(scans) })

    expect(other).toEqual({
      'AvScanResults.Quick.Duration': 5,
      'AvScanResults.Deep': { ScanStatus: 'Failed' },
      'AvScanResults.Full': 'no',
    })
  })
})

test.each([
  [true, 'true'],
  [false, 'false'],
  ['True', 'true'],
  ['FALSE', 'false'],
  [' true ', 'true'],
  ['Unknown', 'unknown'],
  ['', 'unknown'],
  [null, 'unknown'],
])('the flag %j is %s', (sent, flag) => {
  const { columns, other } = read({ DeviceId: 'a1', AvIsEngineUptodate: sent })

  expect(columns.avIsEngineUpToDate).toBe(flag)
  expect(other).toEqual({})
})

test.each([1, 'yes', ['True'], { toString: 1, valueOf: 1 }])(
  'the flag %j is unknown, and stored as sent',
  (sent) => {
    const { columns, other } = read({ DeviceId: 'a1', AvIsEngineUptodate: sent })

    expect(columns.avIsEngineUpToDate).toBe('unknown')
    expect(other).toEqual({ AvIsEngineUptodate: sent })
  },
)

test('a flag in two spellings, one of them unknown, has the known value', () => {
  expect(
    columnsOf({ AvIsEngineUptodate: 'Unknown', avIsEngineUpToDate: 'True' }).avIsEngineUpToDate,
  ).toBe('true')
  expect(
    columnsOf({ AvIsEngineUptodate: 'True', avIsEngineUpToDate: null }).avIsEngineUpToDate,
  ).toBe('true')
})

test.each([
  ['0', '0', 'active'],
  [4, '4', 'edr-block-mode'],
  [' 2 ', '2', 'disabled'],
  ['', '', 'other'],
  [99, '99', 'unknown'],
  ['constructor', 'constructor', 'unknown'],
])('the mode %j is stored as %j and named %s', (sent, avMode, avModeName) => {
  expect(columnsOf({ avMode: sent })).toMatchObject({ avMode, avModeName })
})

test.each([
  [7, 7],
  ['12275', 12275],
  [0, 0],
  ['', undefined],
  [null, undefined],
])('the group id %j is %j', (sent, number) => {
  expect(columnsOf({ RbacGroupId: sent }).rbacGroupId).toBe(number)
})

test.each([
  ['RbacGroupId', '12a'],
  ['RbacGroupId', ' '],
  ['RbacGroupId', 1.5],
  ['RbacGroupId', true],
  ['RbacGroupId', '9007199254740993000'],
  ['LastSeenTime', 'never'],
  ['LastSeenTime', 1772442945],
  ['OsPlatform', ['Windows11']],
  ['avMode', { mode: 1 }],
])('%s with the value %j is stored as sent, not misread', (name, value) => {
  const { columns, other } = read({ DeviceId: 'a1', [name]: value })

  expect(columns).toEqual({ machineId: 'a1', ...unknownFlags })
  expect(other).toEqual({ [name]: value })
})

test('unknown fields are stored and counted at every level', () => {
  const row = read({
    DeviceId: 'a1',
    New: 1,
    DeviceGatheredInfo: '{"AvNew":"x","Empty":"","None":null}',
  })

  expect(row.other).toEqual({ New: 1, AvNew: 'x' })
  expect(row.unknownFields).toEqual(['New', 'AvNew'])
})

test('protocol annotations are not fields of a record', () => {
  expect(read({ '@odata.type': '#DeviceAvInfo', DeviceId: 'a1' })).toMatchObject({
    other: {},
    unknownFields: [],
  })
})

test('an invalid name is counted under a fixed name: the ledger has no room for more', () => {
  const row = read({
    DeviceId: 'a1',
    ['x'.repeat(1000)]: 1,
    '\u0000': 2,
    '': 3,
    'Two Words': 4,
    __proto_: 5,
  })

  expect(row.unknownFields.toSorted()).toEqual([
    'Two Words',
    '__proto_',
    'no-name',
    'no-name',
    'no-name',
  ])
})

test('fields that are too long for `other` are left out, the longest first, and counted', () => {
  const fields = { Short: 'kept', Long: 'x'.repeat(40_000), Longer: '"'.repeat(30_000) }

  const { other, unknownFields } = read({ DeviceId: 'a1', ...fields })

  expect(other).toEqual({ Short: 'kept', omittedFields: 2 })
  expect(unknownFields).toEqual(['Short', 'Long', 'Longer'])
})

describe('the device id', () => {
  test.each(['machineId', 'MachineId', 'DeviceId', 'deviceId', 'deviceid', 'DEVICEID'])(
    'may be called %s',
    (name) => {
      expect(read({ [name]: 'AbC' }).id).toBe('abc')
    },
  )

  test.each(['a', 'A'.repeat(128), 'x._-9', '0'.repeat(38), 'f'.repeat(45)])(
    'may be %.50s',
    (id) => {
      expect(read({ DeviceId: id }).id).toBe(id.toLowerCase())
    },
  )

  test.each<[unknown, string]>([
    [undefined, 'the device id is missing'],
    [null, 'the device id is missing'],
    ['', 'the device id is missing'],
    [12345, 'the device id is missing'],
    [['a1'], 'the device id is missing'],
    [{}, 'the device id is missing'],
    ['a/b', 'the device id is not a valid key'],
    ['a b', 'the device id is not a valid key'],
    ['a\n', 'the device id is not a valid key'],
    ['..\\x', 'the device id is not a valid key'],
    ['ä', 'the device id is not a valid key'],
    ['a'.repeat(129), 'the device id is not a valid key'],
  ])('%j is refused: %s', (id, reason) => {
    expect(readDevice({ DeviceId: id, osPlatform: 'macOS' })).toEqual({ ok: false, reason })
  })
})

describe('hostile input is rejected or stored, without harm', () => {
  test.each([null, undefined, 1, 'text', true, [], [{ DeviceId: 'a1' }]])(
    '%j is no record',
    (value) => {
      expect(readDevice(value)).toEqual({ ok: false, reason: 'the line is not an object' })
    },
  )

  test('a field named like a prototype is stored like any other', () => {
    const row = read(
      JSON.parse('{"DeviceId":"a1","__proto__":{"osKind":"x"},"constructor":{"prototype":1}}'),
    )

    expect(row.columns).toEqual({ machineId: 'a1', ...unknownFlags })
    expect(JSON.stringify(row.other)).toBe(
      '{"__proto__":{"osKind":"x"},"constructor":{"prototype":1}}',
    )
    expect(Object.prototype).not.toHaveProperty('osKind')
  })

  test('a field that is too long for a column rejects the line', () => {
    expect(readDevice({ DeviceId: 'a1', DeviceName: 'x'.repeat(32_001) })).toEqual({
      ok: false,
      reason: 'a field is too long',
    })
  })

  test('a row that is too large for an entity rejects the line', () => {
    const names = [
      'DeviceName',
      'OsVersion',
      'OsPlatform',
      'osKind',
      'avSignatureVersion',
      'avEngineVersion',
    ]
    const more = [
      'avPlatformVersion',
      'quickScanResult',
      'quickScanError',
      'fullScanResult',
      'fullScanError',
    ]
    const wide = [...names, ...more, 'avEngineRing', 'cloudProtectionState'].map((name) => [
      name,
      'x'.repeat(32_000),
    ])

    expect(readDevice({ DeviceId: 'a1', ...Object.fromEntries(wide) })).toEqual({
      ok: false,
      reason: 'the line is too long',
    })
  })

  test.each([
    ['lists', `{"DeviceId":"a1","x":${'['.repeat(100_000)}${']'.repeat(100_000)}}`],
    [
      'nested data',
      `{"DeviceId":"a1",${'"DeviceGatheredInfo":{'.repeat(20_000)}${'}'.repeat(20_001)}`,
    ],
  ])('%s nested tens of thousands deep refuse the line', (_what, text) => {
    expect(readDevice(JSON.parse(text))).toEqual({
      ok: false,
      reason: 'the line is nested too deeply',
    })
  })
})

test('reading never throws, and its result always fits a row of the table service', () => {
  const known = [
    'DeviceId',
    'machineId',
    'avMode',
    'DeviceGatheredInfo',
    'AvScanResults',
    'AvIsEngineUptodate',
  ]
  const names = fc.oneof(
    fc.constantFrom(...known, 'Timestamp', 'rbacGroupId', 'osPlatform', '__proto__'),
    fc.string(),
  )
  const long = fc.nat(40_000).map((length) => '\u0000'.repeat(length))
  const object = fc.dictionary(
    fc.constantFrom('toString', 'valueOf', 'Quick', 'ScanStatus', '__proto__'),
    fc.jsonValue(),
  )
  const values = fc.oneof(fc.jsonValue(), fc.string(), long, object)
  const inner = fc.dictionary(names, values).map((fields) => JSON.stringify(fields))
  const record = fc.oneof(
    fc.jsonValue(),
    fc
      .tuple(
        fc.dictionary(names, fc.oneof(values, inner)),
        fc.oneof(fc.string({ unit: fc.constantFrom('a', 'F', '0', '.', '_') }), fc.string()),
      )
      .map(([fields, id]) => ({ DeviceId: id, ...fields })),
  )
  fc.assert(
    fc.property(record, (value) => {
      const row = readDevice(value)

      if (!row.ok) return
      expect(row.id).toMatch(/^[0-9a-z._-]{1,128}$/)
      const columns = Object.entries(row.columns)
      expect(columns.length).toBeLessThanOrEqual(252)
      for (const [name, value] of columns) {
        expect(name).toMatch(/^[a-zA-Z_]\w{0,254}$/)
        expect(['string', 'number', 'boolean']).toContain(typeof value)
        if (typeof value === 'string') expect(value.length).toBeLessThanOrEqual(32_768)
        else expect(Number.isFinite(value)).toBe(true)
      }
      expect(row.unknownFields.filter((name) => name.length > 64)).toEqual([])
    }),
    { numRuns: 500 },
  )
})

test('the newer row of a device is the one refreshed later, then the one seen later', () => {
  const at = (dataRefreshTimestamp: string, lastSeenTime: string) =>
    freshness(columnsOf({ dataRefreshTimestamp, lastSeenTime })).join(' ')
  const [older, refreshed, seen] = [
    at('2026-03-02 01:00:00', '2026-03-02 01:00:00'),
    at('2026-03-02 01:00:00.1', '2026-03-01 01:00:00'),
    at('2026-03-02 01:00:00', '2026-03-02T02:30:00+01:00'),
  ]

  expect([refreshed, older, seen].toSorted()).toEqual([older, seen, refreshed])
  expect(freshness({})).toEqual(['', ''])
})
