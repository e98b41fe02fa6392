import fc from 'fast-check'
import { expect, test } from 'vitest'
import { toCsv } from '../../shared/platform/reply.ts'
import { isDeployed, readTree } from '../house-source.ts'
import { FORMULA, readCsv } from '../read-csv.ts'

const hostile = fc.oneof(
  fc.constantFrom(
    "=cmd|' /C calc'!A0",
    ' =1+1',
    '\t@SUM(A1)',
    '\u202e=HYPERLINK("https://evil.example")',
    '\ufeff+1',
    "'quoted",
    'a,b;c\td',
    'two\r\nlines',
    '"',
    'x'.repeat(1024),
    '＝1',
  ),
  fc.string({ unit: 'binary', maxLength: 40 }),
)

test('any text comes back as it was, and none of it begins as a formula', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(hostile, hostile), { minLength: 1, maxLength: 5 }), (rows) => {
      const read = readCsv(
        toCsv(
          ['a', 'b.c'],
          rows.map(([a, c]) => ({ a, b: { c } })),
        ),
      )

      expect(read[0]).toEqual(['a', 'b.c'])
      expect(read.slice(1).map((cells) => cells.map((cell) => cell.replace(/^'/, '')))).toEqual(
        rows,
      )
      for (const cell of read.flat()) expect(cell).not.toMatch(FORMULA)
    }),
  )
})

test('numbers and flags are bare, unknown is empty, a list of texts is one text', () => {
  expect(
    toCsv(['n', 'f', 'u', 'l', 'o'], [{ n: -1, f: false, u: null, l: ['a', 'b'], o: [{}] }]),
  ).toBe('"n","f","u","l","o"\r\n-1,false,,"a b","[{}]"\r\n')
})

test('answers are whole: a stream that fails half way would leave status 200 and half the rows', () => {
  const tree = Object.entries(readTree(new URL('../..', import.meta.url).pathname))
  const deployed = tree.filter(([path]) => isDeployed(path))

  expect(deployed.filter(([, text]) => text.includes('enableHttpStream'))).toEqual([])
})
