import { expect, test } from 'vitest'
import { nextAttemptAt } from '../../../local/host/durable/history.ts'
import { parseTimeSpan, readHostJson, resolveName } from '../../../local/host/settings.ts'

test.each([
  ['00:00:02', 2000],
  ['00:00:00.100', 100],
  ['01:30', 5_400_000],
  ['1.00:00:01', 86_401_000],
  ['30', 30 * 86_400_000],
  ['soon', undefined],
  ['30s', undefined],
])('the time span %s is %s ms', (text, ms) => {
  expect(parseTimeSpan(text)).toBe(ms)
})

test('the host.json of this project is read', async () => {
  const { default: hostJson } = await import('../../../host.json', { with: { type: 'json' } })

  const read = readHostJson(hostJson, { TASKHUB_NAME: 'DefenderRelay' })

  expect(read.durable.hubName).toBe('DefenderRelay')
  expect(read.queues).toMatchObject({
    messageEncoding: 'none',
    visibilityTimeoutMs: 30_000,
    maxPollingIntervalMs: 2000,
  })
})

test('a name is resolved in any case, and not at all when a part is missing or empty', () => {
  const settings = { QUEUE: 'events', EMPTY: '' }

  expect(resolveName('%queue%-retries', settings)).toBe('events-retries')
  expect(resolveName('%QUEUE%-%EMPTY%', settings)).toBeUndefined()
  expect(resolveName('%ABSENT%', settings)).toBeUndefined()
})

test('the time between attempts grows, up to a limit', () => {
  const begin = new Date('2026-11-20T10:00:00Z')
  const options = {
    firstRetryIntervalInMilliseconds: 5000,
    maxNumberOfAttempts: 5,
    backoffCoefficient: 2,
    maxRetryIntervalInMilliseconds: 15_000,
  }

  const waits = [1, 2, 3, 4].map(
    (attempt) => nextAttemptAt(begin, options, attempt).getTime() - begin.getTime(),
  )

  expect(waits).toEqual([5000, 10_000, 15_000, 15_000])
})
