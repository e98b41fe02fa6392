import { expect, test } from 'vitest'
import { cursorSchema, encodeCursor } from '../../shared/events/cursor.ts'
import { afterSchema } from '../../shared/platform/paging.ts'

const schema = afterSchema(cursorSchema)

test('a cursor comes back as it was given', () => {
  const cursor = { 'machine-actions': 12, investigations: 0 }

  expect(schema.parse(encodeCursor(cursor))).toEqual(cursor)
})

test('a cursor is text that stands in a URL as it is', () => {
  expect(encodeCursor({ 'machine-actions': 999_999_999_999, 'äö>?': 1 })).toMatch(/^[\w-]+$/)
})

test.each([
  ['no text of ours', 'hello'],
  ['a list', encodeCursor([] as unknown as Record<string, number>)],
  ['a place before the first', encodeCursor({ things: -1 })],
  ['half a place', encodeCursor({ things: 0.5 })],
  ['a text as a place', encodeCursor({ things: '1' } as unknown as Record<string, number>)],
  ['a place beyond all numbers', encodeCursor({ things: 1e300 })],
  ['a name without end', encodeCursor({ ['x'.repeat(41)]: 1 })],
  ['too long a text', encodeCursor(Object.fromEntries(Array.from({ length: 200 }, (_, n) => [`stream${n}`, n])))],
])('%s is not taken for a cursor', (_what, text) => {
  expect(schema.safeParse(text).success).toBe(false)
})
