import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { exportPath } from './export-path.ts'
import { gather, mannerOf, pack, packOne, textOf } from './file-body.ts'
import type { Fleet } from './fleet.ts'

/** One blob of a snapshot. */
export interface ShelfFile {
  /** Path below the container. */
  path: string
  /** Place in the list, from 0. */
  index: number
  /** Place among the files with rows, from 0; -1 for one without. */
  filled: number
  /** The bytes as the service keeps them; `length` when it is known without making them. */
  open(weird: boolean): Promise<{ body: Buffer | AsyncIterable<Buffer>; length?: number }>
  /** The same text, not packed. */
  openPlain(weird: boolean): AsyncIterable<Buffer>
}

/** A snapshot as it lies in the store. */
export interface Snapshot {
  fleet: Fleet
  files: ShelfFile[]
  /** Files with rows. */
  filledCount: number
  listings: number
  firstListedAtMs?: number
}

// Above this many lines a file is packed anew for each download and sent without a length: memory stays as it is.
const keptRows = 30_000
const keptBytes = 64 * 2 ** 20
const snapshotsKept = 4

/** Keeps the newest snapshots; links to older ones lead nowhere. */
export interface ExportShelf {
  current(): Snapshot
  put(fleet: Fleet): void
  /** The blob at a path below the container, the newest snapshot's first. */
  find(path: string): { snapshot: Snapshot; file: ShelfFile } | undefined
}

/** Makes the shelf; `paths` are files on disk that every snapshot shows in place of the fleet's own. */
export function createExportShelf(first: Fleet, paths?: string[]): ExportShelf {
  const keep = createKeeper()
  const snapshotOf = (fleet: Fleet): Snapshot => {
    const files = paths
      ? paths.map((path, index) => diskFile(path, index, fleet, paths.length))
      : fleetFiles(fleet, keep)
    return {
      fleet,
      files,
      filledCount: files.filter(({ filled }) => filled >= 0).length,
      listings: 0,
    }
  }
  let current = snapshotOf(first)
  let snapshots = [current]
  return {
    current: () => current,
    put(fleet) {
      current = snapshotOf(fleet)
      snapshots = [current, ...snapshots].slice(0, snapshotsKept)
    },
    find(path) {
      for (const snapshot of snapshots) {
        const file = snapshot.files.find((candidate) => candidate.path === path)
        if (file) return { snapshot, file }
      }
      return undefined
    },
  }
}

function fleetFiles(fleet: Fleet, keep: Keep): ShelfFile[] {
  let filled = 0
  return fleet.files.map((source, index) => {
    const owner = {}
    return {
      path: source.path,
      index,
      filled: source.rows > 0 ? filled++ : -1,
      async open(weird) {
        const pieces = () => pack(source.lines(), mannerOf(index, weird))
        if (source.rows > keptRows) return { body: pieces() }
        const body = await keep(owner, weird, () => gather(pieces()))
        return { body, length: body.length }
      },
      async *openPlain(weird) {
        yield* textOf(source.lines(), mannerOf(index, weird))
      },
    }
  })
}

function diskFile(path: string, index: number, fleet: Fleet, files: number): ShelfFile {
  const packed = /\.gz$/i.test(path)
  const read = (): AsyncIterable<Buffer> => createReadStream(path)
  return {
    path: exportPath(index, { ...fleet.options, files, groups: 1 }),
    index,
    filled: index,
    async open() {
      if (packed) return { body: read(), length: (await stat(path)).size }
      return { body: packOne(read()) }
    },
    openPlain: read,
  }
}

type Keep = (owner: object, weird: boolean, make: () => Promise<Buffer>) => Promise<Buffer>

/** Remembers packed files up to a modest total; the longest unused one goes first. */
function createKeeper(): Keep {
  const kept = new Map<string, Promise<Buffer>>()
  const names = new WeakMap<object, number>()
  let named = 0
  let total = 0
  return async (owner, weird, make) => {
    if (!names.has(owner)) names.set(owner, named++)
    const name = `${names.get(owner)} ${weird}`
    const known = kept.get(name)
    const body = known ?? make()
    kept.delete(name)
    kept.set(name, body)
    if (!known) total += (await body).length
    for (const [oldest, old] of kept) {
      if (total <= keptBytes || oldest === name) break
      kept.delete(oldest)
      total -= (await old).length
    }
    return body
  }
}
