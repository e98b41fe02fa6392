import type { Clock } from '../../shared/platform/time.ts'
import type { ExportStore } from './export-store.ts'
import type { Faults } from './faults.ts'
import type { LinkIssuer, TokenIssuer } from './issuers.ts'
import type { ItemKind } from './items/item.ts'
import type { ServedItems } from './items/item-store.ts'
import type { MountedReceiver } from './receiver.ts'
import type { Reply } from './reply.ts'
import type { ServedScans } from './scans/scans.ts'
import type { Call } from './server.ts'

/** All that the routes share. */
export interface World {
  clock: Clock
  faults: Faults
  tokens: TokenIssuer
  links: LinkIssuer
  exports: ExportStore
  items: Record<ItemKind['list'], ServedItems>
  scans: ServedScans
  /** The receiver of a name, made when it is first asked for. */
  receiver(name: string): MountedReceiver
  countCall: ReturnType<typeof createCallCounter>
  /** Downloads that were answered with a file's bytes, by path below the container. */
  downloads: Map<string, number>
  /** Paths of the store to which somebody brought credentials that are not meant for it. */
  leaks: string[]
  /** Where this server stands, for links. */
  origin(): string
}

/** One thing that the simulator answers. */
export interface Route {
  method: 'GET' | 'POST'
  /** Matches the whole path; a path that no route matches is answered by its neighbourhood's 404. */
  path: RegExp
  answer(call: Call, world: World): Reply | Promise<Reply>
}

/** So many calls in any stretch of so many seconds. */
export interface CallLimit {
  calls: number
  seconds: number
}

/** A call that came too early. */
export interface Refusal {
  limit: CallLimit
  /** Whole seconds after which the same call passes. */
  retryAfterSeconds: number
}

/** Counts the calls of each key over sliding windows of the clock; refused calls do not count. */
export function createCallCounter(
  clock: Clock,
): (key: string, limits: CallLimit[]) => Refusal | undefined {
  const passed = new Map<string, number[]>()
  return (key, limits) => {
    const nowMs = clock.now().getTime()
    const longestMs = Math.max(...limits.map(({ seconds }) => seconds)) * 1000
    const calls = (passed.get(key) ?? []).filter((at) => at > nowMs - longestMs)
    const refusals = limits.flatMap((limit) => {
      const inWindow = calls.filter((at) => at > nowMs - limit.seconds * 1000)
      // With n calls too many, the n-th oldest has to leave the window first.
      const leaving = inWindow[inWindow.length - limit.calls]
      if (leaving === undefined) return []
      return {
        limit,
        retryAfterSeconds: Math.max(1, Math.ceil((leaving + limit.seconds * 1000 - nowMs) / 1000)),
      }
    })
    if (refusals.length === 0) calls.push(nowMs)
    passed.set(key, calls)
    return refusals.sort((a, b) => b.retryAfterSeconds - a.retryAfterSeconds)[0]
  }
}
