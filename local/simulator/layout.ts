import type { FleetOptions } from './fleet-options.ts'

/** A place in the export: file number in list order and line number, both from 1. */
export interface Place {
  file: number
  line: number
}

/** What stands on a line: a device at home, the second copy of the k-th device that has one, or the b-th bad line. */
export type Stand = { home: number } | { second: number } | { bad: number }

/** Which line of which file holds what, known by arithmetic: nothing is kept for a device. */
export interface Layout {
  /** Lines of each file. */
  rows: number[]
  /** What the lines of the file at `index` (from 0) hold, from the top. */
  stands(index: number): Iterable<Stand>
  homeOf(device: number): Place
  /** The number `k` of a device's second copy, or undefined when it stands once. */
  secondOf(device: number): number | undefined
  /** The device whose second copy is the k-th. */
  deviceOfSecond(k: number): number
  placeOfSecond(k: number): Place
}

/** Lays a fleet out over its files: uneven sizes, extras (second copies, bad lines) spread evenly inside each file. */
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
  // The j-th of e extras among t lines stands on line ceil((j + 1) * t / e); the devices at home take the others.
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

/** Every sixteenth second copy stays in its own file: duplicates inside one file are legal too. */
function secondFile(k: number, home: number, filled: number[]): number {
  const others = filled.length - 1
  const step = others === 0 || k % 16 === 15 ? 0 : 1 + (k % others)
  return filled[(home + step) % filled.length] ?? 0
}
