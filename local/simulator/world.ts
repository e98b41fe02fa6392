import type { Clock } from '../../shared/platform/clock.ts'
import type { createCallCounter } from './call-limit.ts'
import type { ExportShelf } from './export-shelf.ts'
import type { Faults } from './faults.ts'
import type { LinkDesk } from './link-desk.ts'
import type { TokenDesk } from './token-desk.ts'

/** All that the routes share. */
export interface World {
  clock: Clock
  faults: Faults
  tokens: TokenDesk
  links: LinkDesk
  shelf: ExportShelf
  countCall: ReturnType<typeof createCallCounter>
  /** Downloads that were answered with a file's bytes, by path below the container. */
  downloads: Map<string, number>
  /** Paths of the store to which somebody brought credentials that are not meant for it. */
  leaks: string[]
  /** Where this server stands, for links. */
  origin(): string
}
