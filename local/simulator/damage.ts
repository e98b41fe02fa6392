import type { ShelfFile } from './export-shelf.ts'
import type { Faults } from './faults.ts'
import type { World } from './world.ts'

/** The bytes of a file as the faults let them out. */
export interface Sent {
  body: Buffer | AsyncIterable<Buffer>
  length?: number
}

/** Opens a file with rows and does to its bytes what the faults say. */
export async function damage(file: ShelfFile, world: World, signal: AbortSignal): Promise<Sent> {
  const { faults, clock } = world
  const harm = harmTo(file.filled, faults)
  const whole: Sent =
    harm === 'unpacked'
      ? { body: file.openPlain(faults.legalWeird) }
      : await file.open(faults.legalWeird)
  let sent = whole
  if (harm === 'corrupt') sent = { ...whole, body: corrupt(whole.body) }
  if (harm === 'truncated') sent = { body: firstHalf(whole.body) }
  if (faults.dropMidway > 0) {
    faults.dropMidway--
    sent = { ...sent, body: cut(sent.body) }
  }
  if (faults.slowBytesPerSecond > 0) {
    const pieceBytes = 16 * 1024
    const pauseMs = (pieceBytes / faults.slowBytesPerSecond) * 1000
    sent = { ...sent, body: paced(sent.body, pieceBytes, () => clock.sleep(pauseMs, signal)) }
  }
  if (faults.chunkedPauses) {
    const { pieces, pauseMs } = faults.chunkedPauses
    const pieceBytes = Math.ceil((whole.length ?? 2 ** 20) / pieces)
    sent = { body: paced(sent.body, pieceBytes, () => clock.sleep(pauseMs, signal)) }
  }
  return sent
}

/** Each kind of damage has files of its own, one kind after the other. */
function harmTo(filled: number, faults: Faults): 'corrupt' | 'truncated' | 'unpacked' | 'none' {
  let place = filled
  if (place < faults.badGzip) return 'corrupt'
  place -= faults.badGzip
  if (place < faults.truncatedGzip) return 'truncated'
  place -= faults.truncatedGzip
  return place < faults.nonGzip ? 'unpacked' : 'none'
}

async function* pieces(body: Sent['body']): AsyncIterable<Buffer> {
  if (Buffer.isBuffer(body)) yield body
  else yield* body
}

/** Turns over a few bytes past the middle of the first piece: the checksum at the end tells at the latest. */
async function* corrupt(body: Sent['body']): AsyncIterable<Buffer> {
  let first = true
  for await (const piece of pieces(body)) {
    if (!first) yield piece
    else {
      first = false
      const copy = Buffer.from(piece)
      for (
        let at = Math.floor(copy.length * 0.6);
        at < Math.min(copy.length, copy.length * 0.6 + 8);
        at++
      ) {
        copy[at] = (copy[at] ?? 0) ^ 0xff
      }
      yield copy
    }
  }
}

/** A file whose writer stopped half-way: nothing in the answer tells. */
async function* firstHalf(body: Sent['body']): AsyncIterable<Buffer> {
  for await (const piece of pieces(body))
    return yield piece.subarray(0, Math.ceil(piece.length / 2))
}

/** Breaks the connection half-way. */
async function* cut(body: Sent['body']): AsyncIterable<Buffer> {
  yield* firstHalf(body)
  // What was written leaves first, so that the caller sees the start of an answer.
  await new Promise((resolve) => setImmediate(resolve))
  throw new Error('cut off on purpose')
}

async function* paced(
  body: Sent['body'],
  pieceBytes: number,
  pause: () => Promise<void>,
): AsyncIterable<Buffer> {
  for await (const piece of pieces(body)) {
    for (let at = 0; at < piece.length; at += pieceBytes) {
      yield piece.subarray(at, at + pieceBytes)
      await pause()
    }
  }
}
