import { expect, test } from 'vitest'
import { type Cursor, cursorSchemaFor, encodeCursor } from '../../../shared/events/feed/read.ts'
import { toCursor } from '../../../shared/platform/paging.ts'

const schema = cursorSchemaFor(['things', 'others'])
const epoch = '0123456789abcdef'
const cursorOf = (things: unknown) => encodeCursor({ things } as Cursor)

test('a cursor is decoded as it was encoded', () => {
  const cursor = { things: { epoch, seq: 12 }, others: { epoch, seq: 0 } }

  expect(schema.parse(encodeCursor(cursor))).toEqual(cursor)
  expect(schema.parse(encodeCursor({}))).toEqual({})
})

test('a cursor is text that needs no encoding in a URL', () => {
  expect(encodeCursor({ 'äö>?': { epoch, seq: 999_999_999_999 } })).toMatch(/^[\w-]+$/)
})

test.each([
  ['an unknown text', 'hello'],
  ['a list', encodeCursor([] as unknown as Cursor)],
  [
    'a stream that is not there',
    encodeCursor({ things: { epoch, seq: 1 }, more: { epoch, seq: 1 } }),
  ],
  ['the "next" of another list', toCursor('subscriptions', { things: { epoch, seq: 1 } })],
  ['a position without an epoch', cursorOf(1)],
  ['a position before the first', cursorOf({ epoch, seq: -1 })],
  ['half a position', cursorOf({ epoch, seq: 0.5 })],
  ['a text as a position', cursorOf({ epoch, seq: '1' })],
  ['a position beyond all numbers', cursorOf({ epoch, seq: 1e300 })],
  ['a text that is too long', cursorOf({ epoch: 'x'.repeat(2000), seq: 1 })],
])('%s is not a cursor', (_what, text) => {
  expect(schema.safeParse(text).success).toBe(false)
})
