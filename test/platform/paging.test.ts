import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import {
  afterSchema,
  askedPosition,
  csvLimitSchema,
  cutPage,
  limitSchema,
  nextLink,
  positionOf,
  questionOf,
  toCursor,
} from '../../shared/platform/paging.ts'

describe('the limit', () => {
  test.each([
    [undefined, 100],
    ['1', 1],
    ['20', 20],
    ['1000', 1000],
  ])('%s is %d', (text, limit) => {
    expect(limitSchema.parse(text)).toBe(limit)
  })

  const why = (schema: z.ZodType, text: string) => schema.safeParse(text).error?.issues[0]?.message

  test.each(['0', '-1', '10001', '1e2', '01', ' 5', '5.0', '', 'all', '٥'])(
    '"%s" is refused, with the bounds of the list',
    (text) => {
      expect(why(limitSchema, text)).toBe('must be a whole number from 1 to 1,000')
      expect(why(csvLimitSchema, text)).toBe(
        'must be a whole number from 1 to 1,000; as CSV to 10,000',
      )
    },
  )

  test('of more than 1,000 is for CSV', () => {
    expect(why(limitSchema, '1001')).toBe('must be a whole number from 1 to 1,000')
    expect(csvLimitSchema.parse('1001')).toBe(1001)
  })
})

describe('the cursor', () => {
  const schema = afterSchema('things', z.strictObject({ seq: z.int().min(1) }))

  test('leads back to where the page before ended', () => {
    expect(schema.parse(toCursor('things', { seq: 7 }))).toEqual({ seq: 7 })
    expect(afterSchema('things', z.string()).parse(toCursor('things', 'ä😀/+?&'))).toBe('ä😀/+?&')
    expect(schema.parse(undefined)).toBeUndefined()
  })

  test('needs no escape in a URL', () => {
    expect(toCursor('things', { seq: 7, text: '>>>???ÿÿÿ😀' })).toMatch(/^[\w-]+$/)
  })

  test.each([
    '',
    'x',
    '!!!',
    toCursor('things', { seq: 0 }),
    toCursor('things', { seq: 1, more: 1 }),
    toCursor('things', '7'),
    toCursor('things', null),
    toCursor('others', { seq: 7 }),
    Buffer.from('{"seq":7}').toString('base64url'),
    'A'.repeat(3000),
  ])('that this list never gave is refused, without being echoed: %.30s', (cursor) => {
    const read = schema.safeParse(cursor)

    expect(read.success).toBe(false)
    if (cursor.length > 3) expect(JSON.stringify(read.error?.issues)).not.toContain(cursor)
  })
})

test.each(['\ud800', 'a\u0000', '\u001b'])(
  'a position that no key can hold is refused: %j',
  (position) => {
    expect(afterSchema('things', z.string()).safeParse(toCursor('things', position)).success).toBe(
      false,
    )
  },
)

describe('a list that answers a question', () => {
  const schema = afterSchema('parts', askedPosition(z.int()))
  const cursor = schema.parse(toCursor('parts', ['one', 4]))

  test('goes on where it was', () => {
    expect(positionOf('one', cursor)).toBe(4)
    expect(positionOf('one', schema.parse(undefined))).toBeUndefined()
  })

  test('refuses the cursor of another question', () => {
    expect(() => positionOf('two', cursor)).toThrow(
      'query.after is not a "next" of this list with these filters',
    )
  })

  test('questions differ by each parameter and each filter', () => {
    const questions = [
      questionOf({ id: 'a' }, {}),
      questionOf({ id: 'b' }, {}),
      questionOf({ id: 'a' }, { state: 'a' }),
      questionOf({ id: 'a' }, { state: 'b' }),
    ]

    expect(new Set(questions).size).toBe(4)
    expect(questionOf({ id: 'a' }, { state: undefined })).toBe(questions[0])
  })
})

describe('a page', () => {
  test.each([
    [[1, 2, 3], [1, 2], 'after 2'],
    [[1, 2], [1, 2], null],
    [[], [], null],
  ])('of two out of %j is %j, and its next is %s', (found, page, next) => {
    expect(cutPage(found, 2, (last) => `after ${last}`)).toEqual({ page, next })
  })
})

describe('the link to the next page', () => {
  test('repeats what was asked, and where to go on', () => {
    const { link = '' } = nextLink(
      '/api/things',
      { limit: 5, type: 'a b&c' },
      toCursor('things', 3),
    )

    const [, address = '', rel] = /^<([^<>]+)>; (.*)$/.exec(link) ?? []
    const url = new URL(address, 'https://app.example.test')
    expect(rel).toBe('rel="next"')
    expect(url.pathname).toBe('/api/things')
    expect(Object.fromEntries(url.searchParams)).toEqual({
      limit: '5',
      type: 'a b&c',
      after: toCursor('things', 3),
    })
  })

  test('is not there on the last page', () => {
    expect(nextLink('/api/things', { limit: 5 }, null)).toEqual({})
  })
})
