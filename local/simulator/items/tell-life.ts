import { type Instant, tickText } from '../moment.ts'
import type { Item, ItemKind } from './item-kind.ts'
import type { ItemScript } from './item-shelf.ts'

/** A step of an item's life: so long after the one before, what changes. */
export type Step = [afterMs: number, patch: Record<string, unknown>]

/** What the life of an item is told from. */
export interface LifeParts {
  kind: ItemKind
  first: Item
  steps: Step[]
  born: Instant
  lateSeconds: number
  retentionDays: number
  /** What changes along with a step, of which the time is only now known. */
  along?(patch: Record<string, unknown>, before: Item, at: string): Record<string, unknown>
}

const dayMs = 86_400_000

/** Tells an item's life from its creation through its steps to its purge. */
export function tellLife({ kind, first, steps, born, along, ...rest }: LifeParts): ItemScript {
  let item = kind.create(first, born)
  const versions: ItemScript['versions'] = [{ atMs: born.ms, item }]
  let atMs = born.ms
  for (const [afterMs, patch] of steps) {
    atMs += Math.floor(afterMs)
    const at = { ms: atMs, ticks: born.ticks }
    item = kind.change(item, { ...along?.(patch, item, tickText(at)), ...patch }, at)
    versions.push({ atMs, item })
  }
  // What is not over is not purged before it is.
  versions.push({ atMs: Math.max(atMs + dayMs, born.ms + rest.retentionDays * dayMs), item: null })
  return { id: first.id, lateSeconds: rest.lateSeconds, versions }
}
