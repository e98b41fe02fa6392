import { expect, test } from 'vitest'
import { isKnownTag } from '../../shared/platform/reply.ts'

test.each([
  [`"a"`, `"a"`, true],
  [`W/"a"`, `"a"`, true],
  [`"a"`, `W/"a"`, true],
  [`"b", W/"a"`, `"a"`, true],
  ['*', `"a"`, true],
  [`"b"`, `"a"`, false],
  [`x"a"`, `"a"`, false],
  ['', `"a"`, false],
  [null, `"a"`, false],
])('If-None-Match %j matches the ETag %j: %j', (ifNoneMatch, etag, isKnown) => {
  expect(isKnownTag(ifNoneMatch, etag)).toBe(isKnown)
})
