import { expect, test } from 'vitest'
import { recordThrottle } from '../../shared/platform/budget.ts'
import { UpstreamError } from '../../shared/platform/errors.ts'
import { failureFacts } from '../../shared/platform/http-error.ts'

const nginx =
  '<html><head><title>429 Too Many Requests</title></head><body><h1>429 Too Many Requests</h1></body></html>'
const quota =
  '{"error":{"code":"429","message":"API calls quota exceeded! Maximum allowed 30 per 00:01:00 for the key Destination+TenantID+AppID. You can send requests again in 8 seconds.","target":"t"}}'
const cpu = '{"error":{"code":"TooManyRequests","message":"CPU quota exceeded"}}'
const atOnce = '{"error":"You have reached the limit of concurrent requests for this instance"}'
const sessions = '{"error":{"code":"429","message":"The limit of active sessions (25) is reached"}}'
const duplicate =
  '{"status":429,"message":"Duplicate export not allowed. Please modify request or wait until existing export is complete."}'
const template =
  '{"values":["a","b"],"strings":["Duplicate export (job_uuid="," container_uuid=","). not allowed."]}'

const factsOf = (text: string, headers: Record<string, string> = {}, status = 429) =>
  failureFacts({
    upstream: 'tenable',
    call: 'GET /scans/1',
    status,
    headers,
    date: undefined,
    text,
    secrets: [],
    now: new Date(0),
  })

test.each([
  ['a page of the gateway', nginx, { 'retry-after': '30' }, 'rate', 30_000, true],
  ['a quota in words', quota, {}, 'rate', 8000, true],
  ['a quota without a time', cpu, {}, 'rate', undefined, true],
  ['an empty body', '', { 'retry-after': '3' }, 'rate', 3000, true],
  ['too many requests at once', atOnce, { 'retry-after': '60' }, 'concurrency', 60_000, true],
  ['too many sessions at once', sessions, {}, 'concurrency', undefined, true],
  [
    'an export that is under way',
    duplicate,
    { 'retry-after': '5' },
    'duplicate-export',
    5000,
    false,
  ],
  ['an export that is under way, in pieces', template, {}, 'duplicate-export', undefined, false],
] as const)('%s is recognised', (_, text, headers, throttle, retryAfterMs, retryable) => {
  const facts = factsOf(text, headers)

  expect([facts.throttle, facts.retryAfterMs, facts.retryable]).toEqual([
    throttle,
    retryAfterMs,
    retryable,
  ])
})

test('only a 429 has a throttle', () => {
  expect(factsOf(duplicate, {}, 503).throttle).toBeUndefined()
})

test.each([
  [nginx, '30', [['scans', 30_000, undefined]]],
  [nginx, '', [['scans', 1000, undefined]]],
  [atOnce, '600', [['scans', 5000, { isRate: false }]]],
  [duplicate, '600', []],
])(
  'a refusal stops its family as long as it concerns others: %s, %s',
  async (text, header, stops) => {
    const stopped: unknown[] = []
    const budget = {
      stop: async (...how: unknown[]) => void stopped.push([how[0], how[1], how[2]]),
    }

    await recordThrottle(
      budget,
      'scans',
      new UpstreamError(factsOf(text, header ? { 'retry-after': header } : {})),
    )

    expect(stopped).toEqual(stops)
  },
)
