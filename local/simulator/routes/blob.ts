import { pack, plain, type Snapshot, type StoredFile } from '../export-store.ts'
import type { Faults } from '../faults.ts'
import { blobError, forcedAnswer, type Reply } from '../reply.ts'
import type { Route, World } from '../route.ts'
import type { Call } from '../server.ts'
import { spoilLines } from '../spoil.ts'

/**
 * The blob store behind the links.
 * https://learn.microsoft.com/en-us/rest/api/storageservices/get-blob
 */
export const blob: Route = {
  method: 'GET',
  path: /^\/blob\/(?<container>[^/]+)\/(?<path>.+)$/,
  answer(call, world) {
    const { container = '', path = '' } = call.caught
    if (call.headers.authorization) {
      world.leaks.push(`/blob/${container}/${path}`)
      return blobError(
        400,
        'InvalidAuthenticationInfo',
        'Authentication information is not given in the correct format.',
      )
    }
    const forced = forcedAnswer(world.faults.blobStatus, 'blob')
    if (forced) return forced

    const nowMs = world.clock.now().getTime()
    const verdict = world.links.check(`${container}/${path}`, call.url.searchParams, nowMs)
    if (verdict !== 'good') return refusal(verdict, call, nowMs)
    const found = world.exports.find(path)
    if (!found) return blobError(404, 'BlobNotFound', 'The specified blob does not exist.')
    return download(found.snapshot, found.file, world, call.signal, nowMs)
  },
}

async function download(
  snapshot: Snapshot,
  file: StoredFile,
  world: World,
  signal: AbortSignal,
  nowMs: number,
): Promise<Reply> {
  const { faults } = world
  const readyAtMs = (snapshot.firstListedAtMs ?? nowMs) + faults.notReadySeconds * 1000
  if (file.filled >= 0 && file.filled < faults.notReadyFiles && nowMs < readyAtMs) {
    const copied = {
      'x-ms-copy-status': 'pending',
      'x-ms-copy-progress': `0/${900_000 + file.index}`,
    }
    return { status: 200, headers: { ...headers(snapshot), ...copied }, body: '' }
  }
  world.downloads.set(file.path, (world.downloads.get(file.path) ?? 0) + 1)
  const larger = snapshot.files.filter(({ rows }) => rows > file.rows).length
  if (file.filled < 0 || larger < faults.emptyFiles) {
    const copied = { 'x-ms-copy-status': 'success', 'x-ms-copy-progress': '0/0' }
    return { status: 200, headers: { ...headers(snapshot), ...copied }, body: '' }
  }
  const sent = await damage(file, world, signal)
  const copied = {
    'x-ms-copy-status': 'success',
    ...(sent.length !== undefined && { 'x-ms-copy-progress': `${sent.length}/${sent.length}` }),
  }
  return { status: 200, headers: { ...headers(snapshot), ...copied }, ...sent }
}

const headers = ({ fleet }: Snapshot) => ({
  'content-type': 'application/octet-stream',
  'last-modified': new Date(fleet.options.generatedTime).toUTCString(),
  'x-ms-blob-type': 'BlockBlob',
  'x-ms-version': '2020-08-04',
})

function refusal(
  verdict: 'expired' | 'key-expired' | 'forged',
  { url }: Call,
  nowMs: number,
): Reply {
  const message =
    'Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly ' +
    'including the signature.'
  const [start, end] = verdict === 'key-expired' ? ['skt', 'ske'] : ['st', 'se']
  const time = (name: string) => new Date(url.searchParams.get(name) ?? '').toUTCString()
  const detail =
    verdict === 'forged'
      ? 'Signature did not match.'
      : `Signature not valid in the specified ${verdict === 'expired' ? '' : 'key '}time frame: ` +
        `Start [${time(start)}] - Expiry [${time(end)}] - Current [${new Date(nowMs).toUTCString()}]`
  return blobError(403, 'AuthenticationFailed', message, detail)
}

/** The bytes of a file with the faults applied. */
export interface Sent {
  body: Buffer | AsyncIterable<Buffer>
  length?: number
}

/** Opens a file with rows and applies the faults to its bytes. */
export async function damage(file: StoredFile, world: World, signal: AbortSignal): Promise<Sent> {
  const { faults, clock } = world
  const harm = harmTo(file.filled, faults)
  if (faults.fileForm) return { body: inForm(faults.fileForm) }
  if (faults.spoiledRows) return { body: pack(spoilLines(file.lines(), faults.spoiledRows), plain) }
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

/** A table of 20 devices in another form; the archive is stored, not packed. */
function inForm(form: 'csv' | 'zip'): Buffer {
  const devices = Array.from({ length: 20 }, (_, n) => String(n).padStart(40, '0'))
  if (form === 'csv') return Buffer.from(`DeviceId,AvMode\n${devices.join(',0\n')},0\n`)
  const lines = devices.map((id) => JSON.stringify({ DeviceId: id }))
  const name = Buffer.from('devices.json')
  const header = Buffer.alloc(30)
  header.write('PK\u0003\u0004', 'latin1')
  header.writeUInt16LE(name.length, 26)
  return Buffer.concat([header, name, Buffer.from(lines.join('\n')), Buffer.from('PK\u0005\u0006')])
}

/** Each kind of damage has its own files, one kind after the other. */
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

/** Flips a few bytes past the middle of the first piece: the checksum at the end reveals it at the latest. */
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

/** A file whose writer stopped half-way: nothing in the answer shows it. */
async function* firstHalf(body: Sent['body']): AsyncIterable<Buffer> {
  for await (const piece of pieces(body))
    return yield piece.subarray(0, Math.ceil(piece.length / 2))
}

/** Breaks the connection half-way. */
async function* cut(body: Sent['body']): AsyncIterable<Buffer> {
  yield* firstHalf(body)
  // The written part is sent first, so that the caller gets the start of an answer.
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
