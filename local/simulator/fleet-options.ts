/** What a fleet is made of; the same options make the same fleet, byte for byte. */
export interface FleetOptions {
  /** Devices. */
  size: number
  /** Files of the export, those without rows included. */
  files: number
  /** Device groups; files are split by group, so at most one a file. */
  groups: number
  seed: number
  /** RFC 3339, UTC. A later one with the same seed shows the same devices, a few of them changed. */
  generatedTime: string
  /** Lines that no import can take: not JSON, no device id, an id with forbidden characters. */
  badLines: number
  /** Lines above 1 MiB, refused as well; beside `badLines`. */
  oversizedLines: number
  /** Devices that stand in two places: mostly two files, now and then twice in one file. */
  duplicates: number
  /** Files without a row; among `files`. */
  zeroRowFiles: number
  /** Number of the first device: fleets of one seed share the devices whose numbers both have. */
  firstDevice: number
  /** Files of different groups share their last path segment. */
  sameLastSegment: boolean
}

/** Fills in what was not said and cuts what cannot be (more duplicates than devices, more groups than files). */
export function completeOptions(given: Partial<FleetOptions>): FleetOptions {
  const size = Math.max(0, given.size ?? 1000)
  const files = Math.max(1, given.files ?? Math.min(400, Math.max(4, Math.ceil(size / 2500))))
  return {
    size,
    files,
    groups: Math.min(files, Math.max(1, given.groups ?? 4)),
    seed: given.seed ?? 1,
    generatedTime: given.generatedTime ?? '2026-11-20T06:00:00Z',
    badLines: given.badLines ?? Math.min(11, Math.floor(size / 200)),
    oversizedLines: given.oversizedLines ?? 0,
    duplicates: Math.min(size, given.duplicates ?? Math.floor(size / 50)),
    zeroRowFiles: Math.min(files - 1, given.zeroRowFiles ?? (files > 3 ? 1 : 0)),
    firstDevice: given.firstDevice ?? 0,
    sameLastSegment: given.sameLastSegment ?? true,
  }
}
