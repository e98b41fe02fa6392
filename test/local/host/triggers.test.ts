import { expect, test } from 'vitest'
import { parseSchedule } from '../../../local/host/triggers.ts'

const from = new Date('2026-11-20T10:30:15Z')

test.each([
  ['0 * * * * *', '2026-11-20T10:31:00.000Z', true],
  ['*/5 * * * *', '2026-11-20T10:35:00.000Z', true],
  ['0 15 */12 * * *', '2026-11-20T12:15:00.000Z', true],
  ['*/30 * * * * *', '2026-11-20T10:30:30.000Z', false],
  ['0 0 9 13 * Fri', '2027-08-13T09:00:00.000Z', true],
  ['0 0 8-10/2 * jan mon-fri', '2027-01-01T08:00:00.000Z', true],
])('%s is next due at %s', (text, next, slow) => {
  const schedule = parseSchedule(text)

  expect(schedule.next(from)?.toISOString()).toBe(next)
  expect(schedule.isSlow(from)).toBe(slow)
})

test.each([
  '',
  'every minute',
  '@hourly',
  '00:05:00',
  '0 0 L * *',
  '* * * *',
  '0 0 0 0 0 0 0',
  '61 * * * * *',
])('"%s" is not a schedule', (text) => {
  expect(() => parseSchedule(text)).toThrow(/is not NCRONTAB$/)
})
