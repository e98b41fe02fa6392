import { AsyncLocalStorage } from 'node:async_hooks'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { ClientRequest } from 'node:http'

/** A request to a service of the storage account by its price; `call` goes to any other address. */
export type RequestKind = 'table' | 'queue' | 'call'

export type RequestCounts = Record<RequestKind, number>

/** The counts of the work that sends a request. */
const current = new AsyncLocalStorage<RequestCounts>()

/** Runs work, and adds the requests that it sends to these counts while somebody counts. */
export const countInto = <T>(counts: RequestCounts, work: () => T): T => current.run(counts, work)

/** Counts the requests of this process for those who call `countInto`; the returned function stops that. */
export function countRequests(connectionString: string): () => void {
  const hostOf = (service: string) =>
    new URL(new RegExp(`${service}Endpoint=([^;]+)`).exec(connectionString)?.[1] ?? '').host
  const kinds = new Map<unknown, RequestKind>([
    [hostOf('Table'), 'table'],
    [hostOf('Queue'), 'queue'],
  ])
  const onRequest = (message: unknown) => {
    const counts = current.getStore()
    const { request } = message as { request: ClientRequest }
    if (counts) counts[kinds.get(request.getHeader('host')) ?? 'call'] += 1
  }
  subscribe('http.client.request.start', onRequest)
  return () => void unsubscribe('http.client.request.start', onRequest)
}
