import type { Observation } from './device.ts'
import { encodeJsonRow, encodeLine } from './encode-device.ts'
import { type ExpectedDevice, expectedDevice } from './expected-device.ts'
import {
  completeOptions,
  exportPath,
  type FleetOptions,
  groupIndexOf,
  groupNumber,
  layOut,
  type Place,
} from './layout.ts'
import { hourMs, type Moment, momentAt } from './moment.ts'
import { observe } from './observe.ts'
import { createRandom } from './random.ts'

/** One file of the export. */
export interface FleetFile {
  /** Path below the container. */
  path: string
  /** Id of its device group. */
  group: number
  /** Number of its lines, known without generating them. */
  rows: number
  /** Its lines, without line ends; the same at each call. */
  lines(): Iterable<string>
}

/** A tenant's devices at one moment, as both export methods show them, and what is true of them. */
export interface Fleet {
  options: FleetOptions
  /** In list order; a file's number is its position from 1. */
  files: FleetFile[]
  /** Number of rows of the JSON method; those from `options.size` on are second copies. */
  jsonRowCount: number
  /** The JSON method's rows from `skip` on. */
  jsonRows(skip?: number): Iterable<Record<string, unknown>>
  /** The result of a correct import by `method` (default: files): each device once, in order of number. */
  truth(method?: Method): Iterable<ExpectedDevice>
  counts: { lines: number; devices: number; duplicates: number; rejected: number }
}

/** Makes a fleet. Rows are generated when they are read, and nothing is stored for a device. */
export function createFleet(given: Partial<FleetOptions> = {}): Fleet {
  const options = completeOptions(given)
  const { size, seed, duplicates } = options
  const generatedMs = Date.parse(options.generatedTime)
  const layout = layOut(options)
  const groupOf = (index: number) => groupNumber(groupIndexOf(index, options))

  function appearances(device: number, method: Method): Appearance[] {
    const home = layout.homeOf(device)
    const k = layout.secondOf(device)
    if (k === undefined) return [{ place: home, times: undefined, stays: true }]
    const second = layout.placeOfSecond(k)
    const homeIsLower =
      home.file === second.file ? home.line < second.line : home.file < second.file
    // The JSON method has no files, so a full tie could not be decided there.
    const tieAllowed = method === 'files' && home.file !== second.file
    const { lower, higher, winner } = copiesOf(k, generatedMs, tieAllowed)
    const homeStays = homeIsLower === (winner === 'lower')
    return [
      { place: home, times: homeIsLower ? lower : higher, stays: homeStays },
      { place: second, times: homeIsLower ? higher : lower, stays: !homeStays },
    ]
  }
  function observation(device: number, copy: number, { place, times }: Appearance): Observation {
    const number = options.firstDevice + device
    return observe({
      number,
      seed,
      generatedMs,
      day: options.day,
      group: groupOf(place.file - 1),
      copy,
      times,
    })
  }
  function encode<T>(device: number, copy: 0 | 1, method: Method, write: Encode<T>): T {
    const appearance = appearances(device, method)[copy]
    if (!appearance) throw new Error(`device ${device} has no copy ${copy}`)
    const random = createRandom(
      seed,
      options.firstDevice + device,
      copy,
      method === 'files' ? 1 : 2,
      generatedMs / 1000,
    )
    return write(observation(device, copy, appearance), random)
  }
  function* linesOf(index: number): Iterable<string> {
    for (const stand of layout.stands(index)) {
      if ('home' in stand) yield encode(stand.home, 0, 'files', encodeLine)
      else if ('second' in stand)
        yield encode(layout.deviceOfSecond(stand.second), 1, 'files', encodeLine)
      else if (stand.bad < options.badLines) yield badLine(stand.bad, seed)
      else yield oversizedLine(stand.bad - options.badLines)
    }
  }

  return {
    options,
    files: layout.rows.map((rows, index) => ({
      path: exportPath(index, options),
      group: groupOf(index).id,
      rows,
      lines: () => linesOf(index),
    })),
    jsonRowCount: size + duplicates,
    *jsonRows(skip = 0) {
      for (let row = skip; row < size; row++) yield encode(row, 0, 'json', encodeJsonRow)
      for (let k = Math.max(0, skip - size); k < duplicates; k++) {
        yield encode(layout.deviceOfSecond(k), 1, 'json', encodeJsonRow)
      }
    },
    *truth(method = 'files') {
      for (let device = 0; device < size; device++) {
        const all = appearances(device, method)
        const copy = all.findIndex(({ stays }) => stays)
        const sources = method === 'files' ? all.map(({ place }) => place) : []
        yield expectedDevice(observation(device, copy, all[copy] as Appearance), sources, method)
      }
    },
    counts: {
      lines: size + duplicates + options.badLines + options.oversizedLines,
      devices: size,
      duplicates,
      rejected: options.badLines + options.oversizedLines,
    },
  }
}

type Method = 'files' | 'json'
type Encode<T> = (seen: Observation, random: ReturnType<typeof createRandom>) => T

/** One row of a device: where it is, its times (for devices with two rows), and whether it is the one that counts. */
interface Appearance {
  place: Place
  times: CopyTimes | undefined
  stays: boolean
}

/** When a row was refreshed and when its device was last seen. */
export interface CopyTimes {
  refreshedAt: Moment
  seenAt: Moment
}

/** The two rows of a device, and which of them counts. */
export interface Copies {
  lower: CopyTimes
  higher: CopyTimes
  winner: 'lower' | 'higher'
}

/**
 * The times of the k-th device with two rows; `lower` is the row in the file with the lower number. The row with the newest
 * refresh counts, then the newest sighting, then the lower file: the cases alternate. No full tie unless `tieAllowed`.
 */
export function copiesOf(k: number, generatedMs: number, tieAllowed: boolean): Copies {
  const hours = (ago: number, fraction = '') => momentAt(generatedMs - ago * hourMs, fraction)
  const base = { refreshedAt: hours(1), seenAt: hours(20) }
  const cases: Copies[] = [
    { lower: { ...base, refreshedAt: hours(0) }, higher: base, winner: 'lower' },
    { lower: base, higher: { ...base, refreshedAt: hours(0) }, winner: 'higher' },
    { lower: { ...base, seenAt: hours(19) }, higher: base, winner: 'lower' },
    { lower: base, higher: { ...base, seenAt: hours(19) }, winner: 'higher' },
    // An older sighting does not matter where the refresh is newer.
    {
      lower: { ...base, seenAt: hours(3) },
      higher: { refreshedAt: hours(0.5), seenAt: hours(90) },
      winner: 'higher',
    },
    // Newer by less than a second: as text, and cut to seconds, the two look alike or the wrong way round.
    { lower: base, higher: { ...base, refreshedAt: hours(1, '5') }, winner: 'higher' },
    { lower: { ...base, refreshedAt: hours(1, '0000001') }, higher: base, winner: 'lower' },
    { lower: base, higher: base, winner: 'lower' },
  ]
  const usable = tieAllowed ? cases : cases.slice(0, -1)
  return usable[k % usable.length] ?? { lower: base, higher: base, winner: 'lower' }
}

const mebibyte = 2 ** 20

/** The n-th line that an import must reject; the kinds alternate. */
export function badLine(n: number, seed: number): string {
  const kind = kinds[n % kinds.length] ?? kinds[0]
  return kind(createRandom(seed, n, 5).int(10 ** 9))
}

/** A line above 1 MiB that is valid otherwise. */
export function oversizedLine(n: number): string {
  return withId(`${String(n).padStart(39, '0')}f`, 'x'.repeat(mebibyte))
}

const withId = (id: unknown, name: string) =>
  JSON.stringify({
    RbacGroupName: 'Unassigned',
    Timestamp: '2026-01-02 03:04:05',
    DeviceName: name,
    DeviceId: id,
  })

const kinds: [(n: number) => string, ...((n: number) => string)[]] = [
  (n) => `{"RbacGroupName":"Unassigned","DeviceName":"cut-${n}`,
  (n) => `this line ${n} is not JSON`,
  (n) => JSON.stringify({ DeviceName: `no-id-${n}`, OsPlatform: 'Windows11' }),
  (n) => withId(null, `null-id-${n}`),
  (n) => withId('', `empty-id-${n}`),
  (n) => withId(`${n}/../${n}`, 'slashes'),
  (n) => withId(`${n}#?`, 'forbidden in keys'),
  (n) => withId(`back\\slash-"${n}"`, 'quotes'),
  (n) => withId(String(n).padStart(129, '0'), 'too long an id'),
  () => '[]',
  (n) => withId(`control-\u0001-${n}`, 'control character'),
]
