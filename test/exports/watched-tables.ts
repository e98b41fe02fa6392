import type { Table } from '../../shared/platform/table.ts'
import type { Tables } from './small-run.ts'

/** Told before a request is sent and when its answer has come; may wait, or throw in its place. */
export interface Watch {
  before?(request: string): Promise<void> | void
  after?(request: string): Promise<void> | void
}

/** Tables that tell of every request. */
export function watched(tables: Tables, { before, after }: Watch): Tables {
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
      async *list(query) {
        let next: string | undefined
        do {
          const answer: Awaited<ReturnType<typeof page>> = await page(
            query,
            next === undefined ? {} : { next },
          )
          yield* answer.rows
          next = answer.next
        } while (next !== undefined)
      },
      transact: (operations) =>
        ask(`transact ${operations.map(({ kind, rowKey }) => `${kind} ${rowKey}`).join(',')}`, () =>
          table.transact(operations),
        ),
    }
  }
}

/** What a process meets that dies: nothing it does any more reaches storage. */
export class Died extends Error {}

/** A watch that lets a process die at its n-th request, before it is sent or when it has landed. */
export function dyingAt(n: number, when: 'before' | 'after'): Watch & { requests: string[] } {
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

/** A watch that holds a process at its n-th request until it may take a step or is let go for good. */
export function heldAt(n: number) {
  const requests: string[] = []
  let isFree = false
  let waiting: (() => void)[] = []
  let arrived = Promise.withResolvers<void>()
  return {
    requests,
    /** Resolves when a request is held. */
    get arrived() {
      return arrived.promise
    },
    /** Lets go what is held, until the next request. */
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
