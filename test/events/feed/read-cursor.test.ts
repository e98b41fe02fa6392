import { expect, test } from 'vitest'
import { type Cursor, cursorSchemaFor, encodeCursor } from '../../../shared/events/feed/read.ts'
import { toCursor } from '../../../shared/platform/paging.ts'

const schema = cursorSchemaFor(['things', 'others'])
const epoch = '0123456789abcdef'
const cursorOf = (things: unknown) => encodeCursor({ things } as Cursor)

test('a cursor comes back as it was given', () => {
  const cursor = { things: { epoch, seq: 12 }, others: { epoch, seq: 0 } }

  expect(schema.parse(encodeCursor(cursor))).toEqual(cursor)
  expect(schema.parse(encodeCursor({}))).toEqual({})
})

test('a cursor is text that stands in a URL as it is', () => {
  expect(encodeCursor({ 'äö>?': { epoch, seq: 999_999_999_999 } })).toMatch(/^[\w-]+$/)
})

test.each([
  ['no text of ours', 'hello'],
  ['a list', encodeCursor([] as unknown as Cursor)],
  [
    'a stream that is not there',
    encodeCursor({ things: { epoch, seq: 1 }, more: { epoch, seq: 1 } }),
  ],
  ['the "next" of another list', toCursor('subscriptions', { things: { epoch, seq: 1 } })],
  ['a place without an epoch', cursorOf(1)],
  ['a place before the first', cursorOf({ epoch, seq: -1 })],
  ['half a place', cursorOf({ epoch, seq: 0.5 })],
  ['a text as a place', cursorOf({ epoch, seq: '1' })],
  ['a place beyond all numbers', cursorOf({ epoch, seq: 1e300 })],
  ['too long a text', cursorOf({ epoch: 'x'.repeat(2000), seq: 1 })],
])('%s is not taken for a cursor', (_what, text) => {
  expect(schema.safeParse(text).success).toBe(false)
})
