import type { Table } from '../../shared/platform/table.ts'
import { listByPage } from '../list-by-page.ts'
import type { Tables } from './small-run.ts'

/** Called before a request is sent and after its answer; may wait, or throw instead. */
export interface Hooks {
  before?(request: string): Promise<void> | void
  after?(request: string): Promise<void> | void
}

/** Tables that call the hooks at every request. */
export function withHooks(tables: Tables, { before, after }: Hooks): Tables {
  return (name) => {
    const table = tables(name)
    async function ask<T>(what: string, request: () => Promise<T>): Promise<T> {
      await before?.(`${what} ${name}`)
      const answer = await request()
      await after?.(`${what} ${name}`)
      return answer
    }
    const page: Table['page'] = (query, options) => ask('page', () => table.page(query, options))
    return {
      name: table.name,
      page,
      create: () => ask('create', () => table.create()),
      drop: () => ask('drop', () => table.drop()),
      get: (partitionKey, rowKey) => ask(`get ${rowKey}`, () => table.get(partitionKey, rowKey)),
      getDated: (partitionKey, rowKey) =>
        ask(`get ${rowKey}`, () => table.getDated(partitionKey, rowKey)),
      list: (query) => listByPage(page, query),
      transact: (operations) =>
        ask(`transact ${operations.map(({ kind, rowKey }) => `${kind} ${rowKey}`).join(',')}`, () =>
          table.transact(operations),
        ),
    }
  }
}

/** The error in a dead process: nothing it does afterwards reaches storage. */
export class Died extends Error {}

/** Hooks that let a process die at its n-th request, before it is sent or after it is done. */
export function dieAt(n: number, when: 'before' | 'after'): Hooks & { requests: string[] } {
  const requests: string[] = []
  return {
    requests,
    before(request) {
      if (requests.length > n || (requests.length === n && when === 'before'))
        throw new Died(request)
      requests.push(request)
    },
    after() {
      if (when === 'after' && requests.length > n) throw new Died()
    },
  }
}

/** Hooks that pause a process at its n-th request until it may do a step or continue to the end. */
export function pauseAt(n: number) {
  const requests: string[] = []
  let isFree = false
  let waiting: (() => void)[] = []
  let arrived = Promise.withResolvers<void>()
  return {
    requests,
    /** Resolves when a request is paused. */
    get arrived() {
      return arrived.promise
    },
    /** Continues until the next request. */
    async step() {
      const held = waiting
      waiting = []
      arrived = Promise.withResolvers<void>()
      for (const go of held) go()
      await arrived.promise
    },
    letGo() {
      isFree = true
      for (const go of waiting) go()
    },
    async before(request: string) {
      requests.push(request)
      if (isFree || requests.length <= n) return
      arrived.resolve()
      await new Promise<void>((go) => waiting.push(go))
    },
  }
}
