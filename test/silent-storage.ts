import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'
import { bounds } from '../shared/platform/body.ts'
import type { Clock } from '../shared/platform/time.ts'

/** The time limits of calls to storage, ended by a clock. */
export const limitBy = (clock: Clock) => () => {
  const end = new AbortController()
  void clock.sleep(bounds.storage.timeoutMs).then(() => end.abort())
  return end.signal
}

/** A storage account, or one behind it, that takes requests without an answer while `isSilent`. */
export async function silentStorage(behind?: string) {
  const endpoint = /TableEndpoint=([^;]+)/.exec(behind ?? '')?.[1]
  const state = { isSilent: true, unanswered: 0, connectionString: '' }
  const server = createServer((incoming, answer) => {
    if (state.isSilent || !endpoint) {
      state.unanswered += 1
      return
    }
    const { method, url, headers } = incoming
    const sent = request(new URL(url ?? '', endpoint), { method, headers }, (got) => {
      answer.writeHead(got.statusCode ?? 0, got.headers)
      got.pipe(answer)
    })
    sent.on('error', () => answer.destroy())
    incoming.pipe(sent)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const account = behind ?? 'DefaultEndpointsProtocol=http;AccountName=account;AccountKey=a2V5'
  const path = endpoint ? new URL(endpoint).pathname : '/account'
  const own = `http://127.0.0.1:${port}${path}`
  const others = account.replace(/;?(?:Table|Queue|Blob)Endpoint=[^;]*/g, '')
  state.connectionString = `${others};TableEndpoint=${own};QueueEndpoint=${own}`
  return state
}
