import { damage } from '../damage.ts'
import type { ShelfFile, Snapshot } from '../export-shelf.ts'
import { forcedAnswer } from '../forced-answer.ts'
import { blobError, type Reply } from '../reply.ts'
import type { Call, Route } from '../route.ts'
import type { World } from '../world.ts'

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
    const found = world.shelf.find(path)
    if (!found) return blobError(404, 'BlobNotFound', 'The specified blob does not exist.')
    return download(found.snapshot, found.file, world, call.signal, nowMs)
  },
}

async function download(
  snapshot: Snapshot,
  file: ShelfFile,
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
  if (file.filled < 0) {
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
