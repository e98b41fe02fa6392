import { describe, expect, test } from 'vitest'
import { createFleet } from '../../local/simulator/fleet.ts'
import { createRandom, type Random } from '../../local/simulator/random.ts'
import { toTimeText } from '../../shared/platform/time.ts'
import { runs } from '../runs.ts'
import { readDevice as formerReader, toTimeText as formerTime } from './former/record.ts'
import { readWithColumns } from './read-columns.ts'

/** What both readers say of a record, without an order of columns. */
function bothReadAlike(record: unknown): void {
  // Each gets its own copy, in case one changes it.
  const json = JSON.stringify(record)
  const copy = () => (json === undefined ? record : JSON.parse(json))
  const [now, before] = [readWithColumns(copy()), formerReader(copy())]
  if (textOf(now) !== textOf(before)) expect(now).toEqual(before)
}

function textOf(row: ReturnType<typeof formerReader>): string {
  if (!row.ok) return row.reason
  const { columns, ...rest } = row
  return JSON.stringify([
    rest.id,
    rest.unknownFields,
    rest.unreadable,
    Object.entries(columns).sort(),
  ])
}

const many = runs(3000, 100_000)

describe('every record is read as the first edition read it', () => {
  test('over a hostile fleet, by both methods', () => {
    const size = runs(1500, 5000)
    const fleet = createFleet({ size, files: 4, seed: 11 })
    let records = 0
    for (const file of fleet.files)
      for (const line of file.lines()) {
        try {
          bothReadAlike(JSON.parse(line))
        } catch (error) {
          if (!(error instanceof SyntaxError)) throw error
        }
        records += 1
      }
    for (const row of fleet.jsonRows()) {
      bothReadAlike(row)
      records += 1
    }
    expect(records).toBeGreaterThan(2 * size)
  })

  test('over generated records', () => {
    const random = createRandom(23)
    for (let n = 0; n < many; n++) bothReadAlike(recordOf(random, 0))
  })

  test('over values that are no records, and records that are too large', () => {
    for (const value of [null, 1, 'a', [], [{}], true]) bothReadAlike(value)
    const large = Object.fromEntries(
      ['computerDnsName', 'osVersion', 'rbacGroupName'].map((name) => [name, '"'.repeat(32_000)]),
    )
    bothReadAlike({ DeviceId: 'a', ...large })
    const others = Array.from({ length: 14 }, (_, n) => [`New${n}`, 'y'.repeat(4000)])
    bothReadAlike({ DeviceId: 'a', ...Object.fromEntries(others) })
    const deep = `${'['.repeat(20_000)}${']'.repeat(20_000)}`
    for (const name of ['New', 'DeviceName', 'AvScanResults', 'DeviceGatheredInfo'])
      expect(readWithColumns(JSON.parse(`{"DeviceId":"a","${name}":${deep}}`))).toEqual(
        formerReader(JSON.parse(`{"DeviceId":"a","${name}":${deep}}`)),
      )
  })

  test('times of every form', () => {
    const random = createRandom(29)
    for (let n = 0; n < many; n++) {
      const text = timeOf(random)
      expect([text, toTimeText(text)]).toEqual([text, formerTime(text)])
    }
  })
})

const names = [
  ...['DeviceId', 'machineId', 'id', 'DEVICEID', '@odata.type', '__proto__', '7', 'constructor'],
  ...['AvMode', 'avMode', 'OsPlatform', 'OsKind', 'DeviceName', 'Timestamp', 'LastSeenTime'],
  ...['AvIsSignatureUptoDate', 'avIsSignatureUpToDate', 'AvIsEngineUptodate', 'RbacGroupId'],
  ...['QuickScanResult', 'QuickScanTime', 'Log4j_CVE_2021_44228', 'TlsClient12', 'New', 'Nëw'],
  ...['AvScanResults', 'DeviceGatheredInfo', 'deviceGatheredInfo', 'avEngineUpdateTime', 'Quick'],
  ...['Full', 'custom', 'ScanStatus', 'errorcode', 'TIMESTAMP', 'Other'],
] as const

const values = [
  ...['', '-', ' ', 'True', 'false', ' UNKNOWN ', 'yes', '0', ' 5 ', '9', 'Active', '123456789012'],
  ...[null, true, false, 0, -0, 1, 1.5, 2 ** 31, -(2 ** 40), 1e15, 1e21],
  ...['Windows11', 'macOS', 'Ubuntu', 'iOS', '\ud800', 'ä"\\\n😀', '{}', '[]'],
  ...[[], ['a'], {}, { deep: [1, null] }, "{'a':1}", '{"Quick":{"ScanSt'],
] as const

const timeForms = [
  ['2026-11-20', '2026-11-20', '2024-02-29', '2026-02-29', '2026-04-31', '0000-01-01', '26-1-1'],
  ['T', ' ', ' ', 't', '  '],
  ['03:04:05', '3:04:05', '23:59:59', '24:00:00', '12:60:00', '1:2:3', '00:00:60', '03:04'],
  ['', '', '.5', '.1234567', '.123456789', '.1234567890', '.', '.1x'],
  ['', 'Z', 'z', '+00:00', '+02:00', '-0000', ' Z', '+24:00', 'x', 'ZZ'],
] as const

function timeOf(random: Random): string {
  const text = timeForms.map((forms) => forms[random.int(forms.length)]).join('')
  if (random.chance(0.7)) return text
  const at = random.int(text.length)
  return (
    text.slice(0, at) + random.pick(['', '0', ':', '/', 'é', ' ']) + text.slice(at + random.int(2))
  )
}

/** A record with fields of every kind, some with JSON inside text. */
function recordOf(random: Random, depth: number): unknown {
  const entries = Array.from({ length: random.int(14) }, () => {
    const name = names[random.int(names.length)]
    return `${JSON.stringify(name)}:${JSON.stringify(anyValue(random, depth))}`
  })
  if (depth === 0 && random.chance(0.9))
    entries.unshift(`"DeviceId":${JSON.stringify(random.pick(['a1', 'A1b2', '', 'x y', 'é']))}`)
  return JSON.parse(`{${entries.join()}}`)
}

function anyValue(random: Random, depth: number): unknown {
  if (random.chance(0.3)) return timeOf(random)
  if (random.chance(0.0005)) return 'x'.repeat(32_001)
  if (depth > 2 || random.chance(0.8)) return values[random.int(values.length)]
  const inner = recordOf(random, depth + 1)
  return random.chance(0.5) ? inner : JSON.stringify(inner)
}
