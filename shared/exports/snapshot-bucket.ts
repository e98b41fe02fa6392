/** The partition of ids that have no place in the order of hex digits. */
export const LAST_BUCKET = '~'

/**
 * The partition of a device id: its place among `buckets` equal parts of the id space, two hex digits. Order-preserving,
 * so that a scan of a snapshot comes in id order whatever its bucket count; `~` for ids that don't begin with two hex digits.
 */
export function bucketOf(id: string, buckets: number): string {
  if (!/^[0-9a-f]{2}/.test(id)) return LAST_BUCKET
  const place = Math.floor((Number.parseInt(id.slice(0, 2), 16) * buckets) / 256)
  return place.toString(16).padStart(2, '0')
}

/** Every partition of a snapshot with so many buckets, in order. */
export function allBuckets(buckets: number): string[] {
  return [
    ...Array.from({ length: buckets }, (_, place) => place.toString(16).padStart(2, '0')),
    LAST_BUCKET,
  ]
}
