import { pipeline, Readable } from 'node:stream'
import { constants, createGzip } from 'node:zlib'

/** How the text of a file is written; all of it is legal. */
export interface Manner {
  lineEnd: '\n' | '\r\n'
  /** What stands before the first line. */
  head: '' | '\ufeff'
  /** What stands after the last line in place of its line end. */
  tail: '' | '\n' | '\n\n  \n\n'
  /** The file has several gzip members, and they do not end where lines end. */
  members: boolean
}

const plain: Manner = { lineEnd: '\n', head: '', tail: '\n', members: false }
const manners: Manner[] = [
  plain,
  { ...plain, lineEnd: '\r\n' },
  { ...plain, head: '\ufeff' },
  { ...plain, members: true },
  { ...plain, tail: '\n\n  \n\n' },
  { ...plain, tail: '' },
]

/** The manner of the file at `index` (from 0): plain unless `weird`. */
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
    // Cut in the middle of a line: members end wherever the writer's buffer was full.
    const middle = Math.floor(piece.length / 2)
    yield* packOne([piece.subarray(0, middle)])
    yield* packOne([piece.subarray(middle)])
  }
}

/** Packs the pieces as one gzip member; an error of theirs comes out at the other end. */
export function packOne(pieces: Iterable<Buffer> | AsyncIterable<Buffer>): AsyncIterable<Buffer> {
  const packer = createGzip({ level: constants.Z_BEST_SPEED, chunkSize: 64 * 1024 })
  // Whoever reads the packer sees the error; the callback only keeps it from being thrown elsewhere.
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
