import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { describeIssue } from '../../shared/platform/request.ts'

const messages = (schema: z.ZodType, value: unknown) =>
  schema.safeParse(value, { error: describeIssue }).error?.issues.map(({ message }) => message)

describe('what is wrong is messages in plain words', () => {
  test.each<[string, z.ZodType, unknown]>([
    ['must be a string', z.string(), 5],
    ['must be a whole number', z.int(), 1.5],
    ['must be a number', z.int(), '1'],
    ['must be true or false', z.boolean(), 'yes'],
    ['must be an object', z.strictObject({}), []],
    ['is missing', z.strictObject({ name: z.string() }), {}],
    ['must be one of a, b', z.enum(['a', 'b']), 'c'],
    ['must be true', z.literal(true), false],
    ['must have at most 5 characters', z.string().max(5), 'canary'],
    ['must have at least 1 character', z.string().min(1), ''],
    ['must have at most 0 entries', z.array(z.string()).max(0), ['canary']],
    ['must have at least 1 entry', z.array(z.string()).min(1), []],
    ['must be at least 0', z.int().min(0), -1],
    ['must be at most 9', z.int().max(9), 10],
    ['has the wrong format', z.string().regex(/^[a-z]{1,64}$/), '5'],
    ['has the wrong format', z.union([z.int(), z.literal('all')]), 'canary'],
  ])('%s', (message, schema, value) => {
    expect(messages(schema, value)).toEqual([message])
  })

  test('unless the schema has words of its own', () => {
    expect(messages(z.string().regex(/^x/, 'must begin with x'), 'canary')).toEqual([
      'must begin with x',
    ])
  })
})
