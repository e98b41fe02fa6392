import fc from 'fast-check'
import { expect, test } from 'vitest'
import { timeKey, toTimeText } from '../../shared/platform/time.ts'

test.each([
  ['2026-03-02T09:15:45Z', '2026-03-02T09:15:45Z'],
  ['2026-03-02T09:15:45.882Z', '2026-03-02T09:15:45.882Z'],
  ['2026-03-02T09:15:45.8820001Z', '2026-03-02T09:15:45.8820001Z'],
  ['2026-03-02T09:15:45+00:00', '2026-03-02T09:15:45Z'],
  ['2026-03-02T09:15:45-00:00', '2026-03-02T09:15:45Z'],
  ['2026-03-02T09:15:45.5+02:00', '2026-03-02T07:15:45.5Z'],
  ['2026-03-02T23:30:00-0130', '2026-03-03T01:00:00Z'],
  ['2026-03-02 09:15:45', '2026-03-02T09:15:45Z'],
  ['2026-03-02 9:15:45', '2026-03-02T09:15:45Z'],
  ['2026-03-02 09:15:45.1234567', '2026-03-02T09:15:45.1234567Z'],
  [' 2026-03-02 09:15:45 ', '2026-03-02T09:15:45Z'],
  ['2026-03-02t09:15:45z', '2026-03-02T09:15:45Z'],
  ['0001-01-01T00:00:00Z', '0001-01-01T00:00:00Z'],
  ['2024-02-29 00:00:00', '2024-02-29T00:00:00Z'],
])('the time %s is %s', (sent, text) => {
  expect(toTimeText(sent)).toBe(text)
})

test.each([
  '',
  '-',
  'yesterday',
  '2026-03-02',
  '2026-13-02T00:00:00Z',
  '2026-02-30T00:00:00Z',
  '2026-03-02T24:00:00Z',
  '2026-03-02T09:60:00Z',
  '2026-03-02T09:15:60Z',
  '2026-03-02T09:15:45+25:00',
  '2026-03-02T09:15:45 CET',
  '2026-03-02T09:15:45Z; DROP',
  '0000-01-01T00:00:00+01:00',
  '9999-12-31T23:30:00-01:00',
  '1772442945',
  `2026-03-02T09:15:45.${'1'.repeat(100_000)}Z`,
])('%.40s is no time', (sent) => {
  expect(toTimeText(sent)).toBeUndefined()
})

const moment = fc.date({ min: new Date(0), max: new Date('2100-01-01'), noInvalidDate: true })

test('keys sort like the times, for any number of fraction digits and any zone', () => {
  const spelling = fc.record({
    at: moment,
    digits: fc.nat(4),
    zoneMinutes: fc.integer({ min: -840, max: 840 }),
  })
  const spell = ({
    at,
    digits,
    zoneMinutes,
  }: {
    at: Date
    digits: number
    zoneMinutes: number
  }) => {
    const local = new Date(at.getTime() + zoneMinutes * 60_000).toISOString().slice(0, -1)
    const hours = String(Math.floor(Math.abs(zoneMinutes) / 60)).padStart(2, '0')
    const minutes = String(Math.abs(zoneMinutes) % 60).padStart(2, '0')
    return `${local}${'0'.repeat(digits)}${zoneMinutes < 0 ? '-' : '+'}${hours}:${minutes}`
  }
  fc.assert(
    fc.property(spelling, spelling, (a, b) => {
      const [first, second] = [timeKey(toTimeText(spell(a))), timeKey(toTimeText(spell(b)))]

      expect(Math.sign(a.at.getTime() - b.at.getTime())).toBe(
        first < second ? -1 : first > second ? 1 : 0,
      )
    }),
  )
})

test('a fraction is more than none, and an absent time is the oldest', () => {
  const sorted = [
    '2026-03-02T00:00:00.1Z',
    undefined,
    '2026-03-02T00:00:00Z',
    '2026-03-02T00:00:00.09Z',
  ].toSorted((a, b) => (timeKey(a) < timeKey(b) ? -1 : 1))

  expect(sorted.map(timeKey)).toEqual([
    '2026-03-02T00:00:00.0000000',
    '2026-03-02T00:00:00.0900000',
    '2026-03-02T00:00:00.1000000',
    '',
  ])
  expect(timeKey(undefined) < timeKey('0001-01-01T00:00:00Z')).toBe(true)
})
