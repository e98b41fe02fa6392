import type { SimulatorOptions } from '../../../local/simulator/simulator.ts'
import { type Caller, startCaller } from './caller.ts'

/** A page of a list as it was answered. */
export interface Page {
  '@odata.context': string
  '@odata.count'?: number
  '@odata.nextLink'?: string
  value: ({ id: string } & Record<string, unknown>)[]
}

/** A client that reads lists of items. */
export interface ItemCaller extends Caller {
  /** A page of a list; fails unless it is answered 200. */
  page(list: string, options?: Record<string, string>): Promise<Page>
  /** Ids of all rows that match a filter. */
  ids(list: string, filter: string): Promise<string[]>
}

/** Starts a simulator for one test, with a client that reads lists of items. */
export async function startItemCaller(
  options: Partial<SimulatorOptions> = {},
): Promise<ItemCaller> {
  const caller = await startCaller(options)
  const page = async (list: string, query: Record<string, string> = {}) => {
    const response = await caller.ask(`${list}?${encodeQuery(query)}`)
    if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`)
    return (await response.json()) as Page
  }
  const ids = async (list: string, filter: string) =>
    (await page(list, { $filter: filter, $top: '10000' })).value.map(({ id }) => id).sort()
  return { ...caller, page, ids }
}

/** The dollar sign is not encoded, as clients write it. */
export const encodeQuery = (query: Record<string, string>): string =>
  Object.entries(query)
    .map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
    .join('&')
