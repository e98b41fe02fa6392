import fc from 'fast-check'
import { expect, test } from 'vitest'
import { bucketFor } from '../../shared/exports/snapshot-table.ts'

/** Every partition of a snapshot with so many buckets, in order. */
function allBuckets(buckets: number): string[] {
  return [
    ...Array.from({ length: buckets }, (_, place) => place.toString(16).padStart(2, '0')),
    '~',
  ]
}

const layouts = [1, 2, 4, 8, 16, 32, 64, 128, 256]

test.each([
  ['00aa', 16, '00'],
  ['0faa', 16, '00'],
  ['10aa', 16, '01'],
  ['ffff', 16, '0f'],
  ['ffff', 256, 'ff'],
  ['ffff', 1, '00'],
  ['7f', 2, '00'],
  ['80', 2, '01'],
  ['a', 16, '~'],
  ['xy00', 16, '~'],
  ['FF00', 16, '~'],
  ['', 16, '~'],
])('of the id "%s" in %d partitions, the partition is %s', (id, buckets, bucket) => {
  expect(bucketFor(id, buckets)).toBe(bucket)
})

test.each(layouts)(
  'a scan of %d partitions is in the order of the ids, hexadecimal ids first',
  (buckets) => {
    const id = fc.string({
      unit: fc.constantFrom(...'0123456789abcdefz._-'),
      minLength: 1,
      maxLength: 6,
    })
    fc.assert(
      fc.property(fc.array(id), (ids) => {
        const scanned = ids.toSorted((a, b) => {
          const [mine, theirs] = [`${bucketFor(a, buckets)} ${a}`, `${bucketFor(b, buckets)} ${b}`]
          return mine < theirs ? -1 : mine > theirs ? 1 : 0
        })

        const isHex = (one: string) => /^[0-9a-f]{2}/.test(one)
        expect(scanned).toEqual([
          ...ids.filter(isHex).toSorted(),
          ...ids.filter((one) => !isHex(one)).toSorted(),
        ])
        expect(ids.filter((one) => !allBuckets(buckets).includes(bucketFor(one, buckets)))).toEqual(
          [],
        )
      }),
    )
  },
)

test.each(layouts)(
  '%d partitions have equal shares of the ids and are listed in order',
  (buckets) => {
    const ids = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

    const shares = Map.groupBy(ids, (id) => bucketFor(id, buckets))

    expect([...shares.values()].map((share) => share.length)).toEqual(
      Array.from({ length: buckets }, () => 256 / buckets),
    )
    expect(allBuckets(buckets)).toEqual([...shares.keys(), '~'])
    expect(allBuckets(buckets)).toEqual(allBuckets(buckets).toSorted())
  },
)
