import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  addUp,
  countDevice,
  MAX_VALUES,
  OTHER,
  openTally,
  type Rollup,
  toRollup,
  UNKNOWN,
} from '../../shared/exports/rollups.ts'

const partial = (values: (string | null)[]): Rollup => {
  const tally = openTally()
  for (const value of values) countDevice(tally, { group: value, mode: 'active' })
  return toRollup(tally)
}

test('partial rollups add up: the largest first, then (other) and (unknown)', () => {
  const sum = addUp([partial(['a', 'b', null]), partial(['b', null, 'c', 'b'])])

  expect(sum).toEqual({
    group: [
      ['b', 3],
      ['a', 1],
      ['c', 1],
      [UNKNOWN, 2],
    ],
    mode: [['active', 7]],
  })
})

test('a group of the name (other), (unknown) or __proto__ is a group', () => {
  const sum = addUp([partial([OTHER, UNKNOWN, '__proto__', null, '__proto__'])])

  expect(sum.group).toEqual([
    ['__proto__', 2],
    ['"(other)"', 1],
    ['"(unknown)"', 1],
    [UNKNOWN, 1],
  ])
})

test('more values than fit are counted together, and a value stays short', () => {
  const values = Array.from({ length: 1000 }, (_, n) => `g${n}`)
  const { group = [] } = addUp([partial([...values, 'g0', null]), partial(['x'.repeat(1000)])])

  expect(group).toHaveLength(MAX_VALUES + 2)
  expect(group[0]).toEqual(['g0', 2])
  // 1,002 devices with a group, 201 of them in the largest 200 groups.
  expect(group.at(-2)).toEqual([OTHER, 801])
  expect(group.every(([value]) => value.length <= 128)).toBe(true)
})

test('the sum over a dimension is the number of devices, whatever their values and however they are split', () => {
  const value = fc.option(fc.constantFrom('a', 'b', OTHER, UNKNOWN, '__proto__'), { nil: null })
  const values = fc.array(
    fc.array(fc.tuple(value, fc.string({ maxLength: 3 })), { maxLength: 400 }),
    {
      maxLength: 4,
    },
  )
  fc.assert(
    fc.property(values, fc.integer({ min: 0, max: 400 }), (slices, many) => {
      const distinct = Array.from({ length: many }, (_, n) => `v${n}`)
      const parts = [
        ...slices.map((slice) => slice.map(([one, tail]) => one && one + tail)),
        distinct,
      ]
      const sum = addUp(parts.map(partial))
      const devices = parts.flat().length

      for (const counts of Object.values(sum))
        expect(counts.reduce((total, [, times]) => total + times, 0)).toBe(devices)
      if (devices === 0) expect(sum).toEqual({})
    }),
    { numRuns: 50 },
  )
})
