import type { Group } from './device.ts'
import { guid } from './random.ts'

/** Options of a fleet; the same options give the same fleet, byte for byte. */
export interface FleetOptions {
  /** Devices. */
  size: number
  /** Files of the export, those without rows included. */
  files: number
  /** Device groups; files are split by group, so at most one a file. */
  groups: number
  seed: number
  /** RFC 3339, UTC. A later one with the same seed shows the same devices, a few of them changed. */
  generatedTime: string
  /** Lines that an import must reject: not JSON, no device id, an id with forbidden characters. */
  badLines: number
  /** Lines above 1 MiB, rejected too; not counted in `badLines`. */
  oversizedLines: number
  /** Devices with two rows: mostly in two files, sometimes in one file. */
  duplicates: number
  /** Files without a row; counted in `files`. */
  zeroRowFiles: number
  /** Number of the first device: fleets of one seed share the devices whose numbers both have. */
  firstDevice: number
  /**
   * How many days the fleet has aged: each day some devices come, go, are renamed or upgraded, and a seventh of them has
   * new values. Undefined: nothing of that, and every generated time gives all devices new values.
   */
  day?: number
  /** Files of different groups share their last path segment. */
  sameLastSegment: boolean
}

/** Fills in missing options and reduces impossible ones (more duplicates than devices, more groups than files). */
export function completeOptions(given: Partial<FleetOptions>): FleetOptions {
  const size = Math.max(0, given.size ?? 1000)
  const files = Math.max(1, given.files ?? Math.min(400, Math.max(4, Math.ceil(size / 2500))))
  return {
    size,
    files,
    groups: Math.min(files, Math.max(1, given.groups ?? 4)),
    seed: given.seed ?? 1,
    generatedTime: given.generatedTime ?? '2026-11-20T06:00:00Z',
    badLines: given.badLines ?? Math.min(11, Math.floor(size / 200)),
    oversizedLines: given.oversizedLines ?? 0,
    duplicates: Math.min(size, given.duplicates ?? Math.floor(size / 50)),
    zeroRowFiles: Math.min(files - 1, given.zeroRowFiles ?? (files > 3 ? 1 : 0)),
    firstDevice: given.firstDevice ?? firstOn(given.day ?? 0, size),
    day: given.day,
    sameLastSegment: given.sameLastSegment ?? true,
  }
}

/** Two steps forward, one back: of the devices that went, some return. A step is a hundredth of the fleet. */
const firstOn = (day: number, size: number) =>
  Math.ceil(size / 100) * (day % 2 === 0 ? day / 2 : (day + 3) / 2)

/** A place in the export: file number in list order and line number, both from 1. */
export interface Place {
  file: number
  line: number
}

/** The content of a line: the first row of a device, the second row of the k-th device that has one, or the b-th bad line. */
export type Stand = { home: number } | { second: number } | { bad: number }

/** Calculates which line of which file holds what: nothing is stored for a device. */
export interface Layout {
  /** Lines of each file. */
  rows: number[]
  /** The contents of the lines of the file at `index` (from 0), from the top. */
  stands(index: number): Iterable<Stand>
  homeOf(device: number): Place
  /** The number `k` of a device's second row; undefined when it has one row. */
  secondOf(device: number): number | undefined
  /** The device with the k-th second row. */
  deviceOfSecond(k: number): number
  placeOfSecond(k: number): Place
}

/** Distributes a fleet over its files: uneven sizes, extra lines (second rows, bad lines) spread evenly inside each file. */
export function layOut(options: FleetOptions): Layout {
  const { size, files, duplicates } = options
  const filled = filledFiles(options)
  const starts = startsOf(size, files, filled)
  const homes = (index: number) => (starts[index + 1] ?? size) - (starts[index] ?? 0)
  const extras: Stand[][] = Array.from({ length: files }, () => [])
  const seconds: { index: number; at: number }[] = []

  const deviceOfSecond = (k: number) => Math.floor((k * size) / duplicates)
  for (let k = 0; k < duplicates; k++) {
    const index = secondFile(k, filled.indexOf(fileOf(starts, deviceOfSecond(k))), filled)
    seconds.push({ index, at: put(extras[index], { second: k }) })
  }
  for (let bad = 0; bad < options.badLines + options.oversizedLines; bad++) {
    put(extras[filled[(bad * 7) % filled.length] ?? 0], { bad })
  }
  const rows = extras.map((extra, index) => homes(index) + extra.length)
  // The j-th of e extra lines among t lines is line ceil((j + 1) * t / e); the first rows are the other lines.
  const lineOfExtra = (index: number, at: number) => {
    const count = extras[index]?.length ?? 1
    return Math.floor(((at + 1) * (rows[index] ?? 0) + count - 1) / count)
  }

  return {
    rows,
    *stands(index) {
      let device = starts[index] ?? 0
      let at = 0
      for (let line = 1; line <= (rows[index] ?? 0); line++) {
        const extra = extras[index]?.[at]
        if (extra && line === lineOfExtra(index, at)) {
          at++
          yield extra
        } else yield { home: device++ }
      }
    },
    homeOf(device) {
      const index = fileOf(starts, device)
      const before = device - (starts[index] ?? 0)
      return { file: index + 1, line: Math.floor((before * (rows[index] ?? 0)) / homes(index)) + 1 }
    },
    secondOf(device) {
      const k = Math.ceil((device * duplicates) / Math.max(1, size))
      return k < duplicates && deviceOfSecond(k) === device ? k : undefined
    },
    deviceOfSecond,
    placeOfSecond(k) {
      const { index, at } = seconds[k] ?? { index: 0, at: 0 }
      return { file: index + 1, line: lineOfExtra(index, at) }
    },
  }
}

function put(list: Stand[] | undefined, stand: Stand): number {
  return (list?.push(stand) ?? 1) - 1
}

/** Indexes of the files that have rows. */
function filledFiles({ files, zeroRowFiles }: FleetOptions): number[] {
  const empty = new Set(
    Array.from({ length: zeroRowFiles }, (_, place) =>
      Math.floor(((place + 1) * files) / (zeroRowFiles + 1)),
    ),
  )
  return Array.from({ length: files }, (_, index) => index).filter((index) => !empty.has(index))
}

/** The number of the first device of each file; weights 1, 2, 3 make the files uneven. */
function startsOf(size: number, files: number, filled: number[]): number[] {
  const weights = Array.from({ length: files }, (_, index) =>
    filled.includes(index) ? 1 + (index % 3) : 0,
  )
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  let before = 0
  return weights.map((weight) => {
    const start = Math.floor((before * size) / total)
    before += weight
    return start
  })
}

/** The last file that starts at or before the device and has a device at all. */
function fileOf(starts: number[], device: number): number {
  let low = 0
  let high = starts.length - 1
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if ((starts[middle] ?? 0) <= device) low = middle
    else high = middle - 1
  }
  return low
}

/** Every sixteenth second row is in the same file: duplicates inside one file are valid too. */
function secondFile(k: number, home: number, filled: number[]): number {
  const others = filled.length - 1
  const step = others === 0 || k % 16 === 15 ? 0 : 1 + (k % others)
  return filled[(home + step) % filled.length] ?? 0
}

/** Which group (from 0) the file at `index` (from 0) belongs to: neighbours share one. */
export function groupIndexOf(index: number, { files, groups }: FleetOptions): number {
  return Math.floor((index * groups) / files)
}

/** The file's path below the container: date and time of the snapshot, organisation, group, part of the writing job. */
export function exportPath(index: number, options: FleetOptions): string {
  const generated = new Date(options.generatedTime)
  const [date = '', time = ''] = generated.toISOString().split('T')
  const group = groupIndexOf(index, options)
  const part = index - Math.ceil((group * options.files) / options.groups)
  // One job writes all groups: that is why parts of different groups have the same name.
  const job = guid(
    options.seed,
    generated.getTime() / 1000,
    options.sameLastSegment ? 0 : index + 1,
  )
  return [
    `${date}/${time.slice(0, 2)}${time.slice(3, 5)}/InfoGatheringExport/json`,
    `OrgId=${guid(options.seed, 77)}/_RbacGroupId=${groupNumber(group).id}`,
    `part-${String(part).padStart(5, '0')}-${job}.c000.json.gz`,
  ].join('/')
}

const known: Group[] = [
  { id: 0, name: 'Unassigned' },
  { id: 1, name: 'Production-Servers' },
  { id: 1001, name: 'Finance & "Trading" <EMEA>' },
  { id: 12275, name: 'Büro Süd \\ 東京' },
]

/** The n-th device group of the tenant, from 0. */
export function groupNumber(n: number): Group {
  return known[n] ?? { id: 20_000 + n * 7, name: `Group ${n}` }
}
