import { expect, test } from 'vitest'
import { readLeniently } from '../../shared/platform/lenient-json.ts'

test.each([
  ['{"a":1,"b":[true,null,"x"],}', { a: 1, b: [true, null, 'x'] }],
  ['[1,2,]', [1, 2]],
  ['{"a":{"n":1,},\n{"n":2},{"n":3,},"b":2}', { a: [{ n: 1 }, { n: 2 }, { n: 3 }], b: 2 }],
  ['{"a":{"n":1},}', { a: { n: 1 } }],
  [' "text with \\" and \\u00e9" ', 'text with " and é'],
  ['-1.5e3', -1500],
  ['{}', {}],
])('%s is read as what was meant', (text, meant) => {
  expect(readLeniently(text)).toEqual(meant)
})

test.each([
  '',
  '{',
  '{"a":1',
  '{"value":[{"id":"f5',
  '{"a" 1}',
  '{a:1}',
  '[1 2]',
  '{"a":1 "b":2}',
  '[,]',
  '{"a":1}}',
  '<html>',
  '{"a":"line\nbreak"}',
  '01',
  '"\\x"',
  '[1]x',
  '{"a":}',
  '['.repeat(5000),
])('%s stays unread: nothing is guessed that was cut off', (text) => {
  expect(readLeniently(text)).toBeUndefined()
})

test('a name of the language itself is a name like any other', () => {
  const read = readLeniently('{"__proto__":{"evil":true},}')

  expect(Object.keys(read as object)).toEqual(['__proto__'])
  expect((read as { evil?: boolean }).evil).toBeUndefined()
})

test('a text of millions of characters is read like a short one', () => {
  const long = 'x'.repeat(10_000_000)

  const read = readLeniently(`{"a": "${long}",}`)

  expect((read as { a: string }).a === long).toBe(true)
})
