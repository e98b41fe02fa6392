import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  fromTextColumns,
  LONGEST_PIECE,
  splitText,
  toTextColumns,
} from '../../shared/platform/table-record.ts'

test('whatever its length and characters, a text comes back whole from pieces that fit and are well-formed', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'grapheme', maxLength: 200 }),
      fc.integer({ min: 2, max: 20 }),
      (text, longest) => {
        const pieces = splitText(text, longest)

        expect(pieces.join('')).toBe(text)
        expect(
          pieces.filter((piece) => piece === '' || piece.length > longest || !piece.isWellFormed()),
        ).toEqual([])
      },
    ),
  )
})

test.each([0, 1, LONGEST_PIECE, LONGEST_PIECE + 1, 3 * LONGEST_PIECE + 7])(
  'a text of %d units comes back',
  (length) => {
    const text = 'x'.repeat(length)

    const columns = toTextColumns('rejects', text)

    expect(Object.keys(columns)).toHaveLength(Math.ceil(length / LONGEST_PIECE))
    expect(fromTextColumns('rejects', { other: 1, ...columns })).toBe(text)
  },
)

test('the pieces stand in columns that are numbered from the second on', () => {
  expect(Object.keys(toTextColumns('rejects', 'x'.repeat(2 * LONGEST_PIECE + 1)))).toEqual([
    'rejects',
    'rejects2',
    'rejects3',
  ])
})

test('a character is never cut in two', () => {
  const [first = '', second] = splitText(`${'x'.repeat(LONGEST_PIECE - 1)}😀`)

  expect([first.length, second]).toEqual([LONGEST_PIECE - 1, '😀'])
})
