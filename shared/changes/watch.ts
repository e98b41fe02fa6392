import { z } from 'zod'
import type { Feed, Head } from '../events/feed.ts'
import type { Clock } from '../platform/clock.ts'
import type { Log } from '../platform/log.ts'
import type { KnownItem } from './known-item.ts'
import type { PollReport } from './poll-report.ts'
import type { ItemSource, Resource } from './resource.ts'

/** What outlives an invocation. */
export interface Memory {
  /** The poll that somebody has asked for and that is under way in this process. */
  checking?: Promise<PollReport> | undefined
  /** What is known, as of a head: a poll that finds the head unmoved need not read it again. */
  last?: { etag: string; known: Map<string, KnownItem> } | undefined
}

/** What one resource is watched with. */
export interface Watch {
  resource: Resource
  source: ItemSource
  feed: Feed
  clock: Clock
  log: Log
  /** Outlives the invocation; every poll checks it against the head. */
  readonly memory: Memory
  /** The tenant's id for the source of events; null while nobody knows it. */
  tenantId(): Promise<string | null>
  /** Makes a call to the upstream, noting how it went. */
  over<T>(call: () => Promise<T>): Promise<T>
  overdueHours: number
  /** Tell what the first look finds. */
  tellBaseline: boolean
}

const watchSchema = z.object({
  cursor: z.string().nullable().default(null),
  /** Where the window of the first look began: what is older and over was never ours to tell. */
  since: z.string().nullable().default(null),
  wideAt: z.string().nullable().default(null),
  baselineDone: z.boolean().default(false),
  tenantId: z.string().nullable().default(null),
  /** The id after which the open items that no list brings are asked for next. */
  recheckAfter: z.string().default(''),
})

/** Where the watch of a resource stands. */
export type WatchState = z.output<typeof watchSchema>

/** Reads where a watch stands. */
export const readWatch = (head: Head): WatchState =>
  watchSchema.parse(JSON.parse(head.watch || '{}'))
