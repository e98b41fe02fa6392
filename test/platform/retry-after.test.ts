import fc from 'fast-check'
import { expect, test } from 'vitest'
import { retryAfterMs } from '../../shared/platform/http-error.ts'

const now = new Date('2026-11-21T10:00:00Z')
const defender429 =
  'API calls quota exceeded! Maximum allowed 30 per 00:01:00 for the key. You can send requests again in 8 seconds.'

test.each<[string, Partial<Parameters<typeof retryAfterMs>[0]>, number | undefined]>([
  ['seconds', { header: '30' }, 30_000],
  ['a part of a second', { header: ' 1.5 ' }, 1500],
  ['nothing to wait', { header: '0' }, 0],
  ['a date by our clock', { header: 'Sat, 21 Nov 2026 10:00:20 GMT' }, 20_000],
  [
    'a date by the clock of the answer',
    { header: 'Sat, 21 Nov 2026 10:00:20 GMT', date: new Date('2026-11-21T10:00:15Z') },
    5000,
  ],
  ['a date of the old form', { header: 'Saturday, 21-Nov-26 10:00:20 GMT' }, 20_000],
  ['a date that has passed', { header: 'Sat, 21 Nov 2026 09:00:00 GMT' }, 0],
  ['more than a day', { header: '100000000' }, 86_400_000],
  ['words in the text', { body: defender429 }, 8000],
  ['minutes in the text', { body: 'try again after 2 minutes' }, 120_000],
  ['a header before the text', { header: '3', body: defender429 }, 3000],
  ['the text behind a broken header', { header: 'soon', body: defender429 }, 8000],
  ['a negative number', { header: '-5' }, undefined],
  ['a bare year', { header: '2027' }, 2_027_000],
  ['an empty header', { header: '' }, undefined],
  ['nothing', {}, undefined],
  ['a text about something else', { body: 'Maximum allowed 30 per 00:01:00' }, undefined],
])('%s is read', (_, said, expected) => {
  const waitMs = retryAfterMs({ now, ...said })

  expect(waitMs).toBe(expected)
})

test('for any answer, the wait is undefined or a whole number from 0 to a day', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (header, body) => {
      const waitMs = retryAfterMs({ header, body, now }) ?? 0
      expect(Number.isInteger(waitMs) && waitMs >= 0 && waitMs <= 86_400_000).toBe(true)
    }),
  )
})
