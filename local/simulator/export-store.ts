import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { pipeline, Readable } from 'node:stream'
import { constants, createGzip } from 'node:zlib'
import { openLines, readDiskFile } from './disk-file.ts'
import type { Fleet } from './fleet.ts'
import { exportPath } from './layout.ts'

/** One blob of a snapshot. */
export interface StoredFile {
  /** Path below the container. */
  path: string
  /** Position in the list, from 0. */
  index: number
  /** Position among the files with rows, from 0; -1 for a file without rows. */
  filled: number
  /** Number of its rows; 0 for a file on disk. */
  rows: number
  /** Its lines; none of a file on disk. */
  lines(): Iterable<string>
  /** The bytes as the service stores them; `length` when it is known without generating them. */
  open(weird: boolean): Promise<{ body: Buffer | AsyncIterable<Buffer>; length?: number }>
  /** The same text, without gzip. */
  openPlain(weird: boolean): AsyncIterable<Buffer>
}

/** A snapshot in the blob store. */
export interface Snapshot {
  fleet: Fleet
  files: StoredFile[]
  /** Files with rows. */
  filledCount: number
  listings: number
  firstListedAtMs?: number
}

// Above this number of lines a file is packed again for each download and sent without a length, which saves memory.
const CACHED_ROWS = 30_000
const CACHED_BYTES = 64 * 2 ** 20
const SNAPSHOTS_STORED = 4

/** Stores the newest snapshots; links to older ones are answered 404. */
export interface ExportStore {
  current(): Snapshot
  put(fleet: Fleet): void
  /** The blob at a path below the container; the newest snapshot is searched first. */
  find(path: string): { snapshot: Snapshot; file: StoredFile } | undefined
}

/** Makes the store; `paths` are files on disk that every snapshot has in place of the fleet's files. */
export function createExportStore(first: Fleet, paths?: string[]): ExportStore {
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
      snapshots = [current, ...snapshots].slice(0, SNAPSHOTS_STORED)
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

function fleetFiles(fleet: Fleet, keep: Keep): StoredFile[] {
  let filled = 0
  return fleet.files.map((source, index) => {
    const owner = {}
    return {
      path: source.path,
      index,
      filled: source.rows > 0 ? filled++ : -1,
      rows: source.rows,
      lines: source.lines,
      async open(weird) {
        const pieces = () => pack(source.lines(), mannerOf(index, weird))
        if (source.rows > CACHED_ROWS) return { body: pieces() }
        const body = await keep(owner, weird, () => gather(pieces()))
        return { body, length: body.length }
      },
      async *openPlain(weird) {
        yield* textOf(source.lines(), mannerOf(index, weird))
      },
    }
  })
}

function diskFile(path: string, index: number, fleet: Fleet, files: number): StoredFile {
  const form = readDiskFile(path)
  const asStored = form.isPacked && !form.rows
  const read = (): AsyncIterable<Buffer> => openLines(path, form)
  return {
    path: exportPath(index, { ...fleet.options, files, groups: 1 }),
    index,
    filled: index,
    rows: 0,
    lines: () => [],
    async open() {
      if (asStored) return { body: createReadStream(path), length: (await stat(path)).size }
      return { body: packOne(read()) }
    },
    openPlain: read,
  }
}

type Keep = (owner: object, weird: boolean, make: () => Promise<Buffer>) => Promise<Buffer>

/** A cache of packed files with a limit in bytes; the least recently used one is removed first. */
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
      if (total <= CACHED_BYTES || oldest === name) break
      kept.delete(oldest)
      total -= (await old).length
    }
    return body
  }
}

/** How the text of a file is written; every way is valid. */
export interface Manner {
  lineEnd: '\n' | '\r\n'
  /** The text before the first line. */
  head: '' | '\ufeff'
  /** The text after the last line, in place of its line end. */
  tail: '' | '\n' | '\n\n  \n\n'
  /** The file has several gzip members, and they do not end where lines end. */
  members: boolean
}

/** The usual manner. */
export const plain: Manner = { lineEnd: '\n', head: '', tail: '\n', members: false }
const manners: Manner[] = [
  plain,
  { ...plain, lineEnd: '\r\n' },
  { ...plain, head: '\ufeff' },
  { ...plain, members: true },
  { ...plain, tail: '\n\n  \n\n' },
  { ...plain, tail: '' },
]

/** How the file at `index` (from 0) is written: plain unless `weird`. */
export function mannerOf(index: number, weird: boolean): Manner {
  return (weird && manners[index % manners.length]) || plain
}

const pieceChars = 256 * 1024

/** The file's text in pieces that do not end where lines end. */
export function* textOf(
  lines: Iterable<string>,
  { lineEnd, head, tail }: Manner,
): Iterable<Buffer> {
  let text: string = head
  let between = ''
  for (const line of lines) {
    text += between + line
    between = lineEnd
    if (text.length > pieceChars) {
      yield Buffer.from(text)
      text = ''
    }
  }
  if (text || between) yield Buffer.from(text + tail)
}

/** The file's text, packed; other work goes on meanwhile. */
export async function* pack(lines: Iterable<string>, manner: Manner): AsyncIterable<Buffer> {
  if (!manner.members) return yield* packOne(breathing(textOf(lines, manner)))
  for await (const piece of breathing(textOf(lines, manner))) {
    // Cut in the middle of a line: a member ends where the writer's buffer was full.
    const middle = Math.floor(piece.length / 2)
    yield* packOne([piece.subarray(0, middle)])
    yield* packOne([piece.subarray(middle)])
  }
}

/** Packs the pieces as one gzip member; the reader gets the errors of the pieces. */
export function packOne(pieces: Iterable<Buffer> | AsyncIterable<Buffer>): AsyncIterable<Buffer> {
  const packer = createGzip({ level: constants.Z_BEST_SPEED, chunkSize: 64 * 1024 })
  // The reader of the packer gets the error; without the callback it would also be thrown elsewhere.
  return pipeline(Readable.from(pieces), packer, () => {})
}

async function* breathing(pieces: Iterable<Buffer>): AsyncIterable<Buffer> {
  for (const piece of pieces) {
    yield piece
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** All pieces in one. */
export async function gather(pieces: AsyncIterable<Buffer>): Promise<Buffer> {
  const all: Buffer[] = []
  for await (const piece of pieces) all.push(piece)
  return Buffer.concat(all)
}
