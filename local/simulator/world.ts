import type { Clock } from '../../shared/platform/time.ts'
import type { createCallCounter } from './call-limit.ts'
import type { ExportShelf } from './export-shelf.ts'
import type { Faults } from './faults.ts'
import type { ItemKind } from './items/item-kind.ts'
import type { ServedShelf } from './items/item-shelf.ts'
import type { LinkDesk } from './link-desk.ts'
import type { MountedReceiver } from './receiver.ts'
import type { ServedScans } from './scans/scans.ts'
import type { TokenDesk } from './token-desk.ts'

/** All that the routes share. */
export interface World {
  clock: Clock
  faults: Faults
  tokens: TokenDesk
  links: LinkDesk
  shelf: ExportShelf
  items: Record<ItemKind['list'], ServedShelf>
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
