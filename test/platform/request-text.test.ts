import { expect, test } from 'vitest'
import { plainText } from '../../shared/platform/request.ts'

const schema = plainText(20)

test.each(['', 'Größe: 5 %', 'zwei\nZeilen\t\r\n', '東京 👩‍💻', 'e\u0301', '"\\/<>'])(
  '%j is plain text',
  (text) => {
    expect(schema.parse(text)).toBe(text)
  },
)

test.each([
  '\u0000',
  'a\u0007b',
  '\u001b[31m',
  '\u007f',
  '\u0085',
  '\ud800',
  'a\udc00b',
  'x'.repeat(21),
])('%j is refused, without being echoed', (text) => {
  const { error } = schema.safeParse(text)

  expect(error?.issues).toHaveLength(1)
  expect(error?.issues[0]?.message).not.toContain(text)
})
