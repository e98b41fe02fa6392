import { inspect } from 'node:util'
import { expect, test } from 'vitest'
import { createAdjustableClock } from '../../local/clock.ts'
import { ShapeError, UpstreamError, type UpstreamFacts } from '../../shared/platform/errors.ts'
import { createHttp } from '../../shared/platform/http.ts'
import { createTenable, type TenableOptions } from '../../shared/upstreams/tenable.ts'
import { json, type Step, scripted } from '../platform/http-script.ts'

const keys = {
  accessKey: 'CANARY-access-key-0123456789',
  secretKey: 'CANARY-secret-key-0123456789',
}

async function tenableOf(...steps: Step[]) {
  const server = await scripted(...steps)
  const clock = createAdjustableClock()
  const used: string[] = []
  const budget: TenableOptions['budget'] = {
    acquire: async (family, { priority } = {}) => void used.push(`acquire ${family} ${priority}`),
    stop: async (family, ms) => void used.push(`stop ${family} ${ms}`),
  }
  const http = createHttp({
    upstream: 'tenable',
    clock,
    userAgent: 'Integration/1.0 (x; y; Build/1)',
    attempts: 1,
  })
  return {
    server,
    used,
    tenable: createTenable({ http, baseUrl: server.url('/base/'), keys, budget }),
  }
}

async function factsOf(promise: Promise<unknown>): Promise<UpstreamFacts> {
  const error = await promise.catch((reason: unknown) => reason)
  if (!(error instanceof UpstreamError)) throw new Error(`no UpstreamError but ${inspect(error)}`)
  expect(inspect(error, { depth: 9, showHidden: true })).not.toContain('CANARY')
  return error.facts
}

const refusal = (status: number, body: unknown, headers: Record<string, string> = {}): Step => ({
  status,
  headers: { 'content-type': 'application/json', 'x-request-uuid': 'b7f0c1d2e3', ...headers },
  body: typeof body === 'string' ? body : JSON.stringify(body),
})

test('details are asked for with both keys, the user agent and the run, each call out of the interactive share', async () => {
  const { tenable, server, used } = await tenableOf(
    json({ info: { name: 'x' } }),
    json({ info: {} }),
  )

  const latest = await tenable.details('template-1 2')
  await tenable.details('7', 'a-b')

  expect(latest).toEqual({ info: { name: 'x' } })
  expect(server.sent.map(({ path }) => path)).toEqual([
    '/base/scans/template-1%202',
    '/base/scans/7?history_id=a-b',
  ])
  expect(server.sent[0]?.headers).toMatchObject({
    'x-apikeys': `accessKey=${keys.accessKey}; secretKey=${keys.secretKey}`,
    'user-agent': 'Integration/1.0 (x; y; Build/1)',
    accept: 'application/json',
  })
  expect(used).toEqual(['acquire scans interactive', 'acquire scans interactive'])
})

test('runs are asked for newest first, page by page', async () => {
  const row = { id: 5, scan_uuid: 'u', status: 'completed' }
  const { tenable, server } = await tenableOf(
    json({ history: [row], pagination: { total: 9 } }),
    json({ history: [] }),
  )

  const pages = [
    await tenable.history('7', { limit: 1, offset: 3 }),
    await tenable.history('7', { limit: 2, offset: 0 }),
  ]

  expect(pages).toEqual([
    { rows: [row], total: 9 },
    { rows: [], total: null },
  ])
  expect(server.sent[0]?.path).toBe(
    '/base/scans/7/history?limit=1&offset=3&sort=start_date%3Adesc&exclude_rollover=false',
  )
})

test('a missing scan or run is undefined, in every form of the answer', async () => {
  const { tenable } = await tenableOf(
    refusal(404, { error: 'Scan not found' }),
    refusal(404, { info: { error: 'The requested file was not found' } }),
    refusal(404, '<html>404</html>', { 'content-type': 'text/html' }),
  )

  expect(await tenable.details('1')).toBeUndefined()
  expect(await tenable.history('1', { limit: 1, offset: 0 })).toBeUndefined()
  expect(await tenable.latestStatus('1')).toBeUndefined()
})

test('a 401 names the settings, a 403 the permission; both have the id for the support staff', async () => {
  const { tenable } = await tenableOf(
    refusal(401, { statusCode: 401, error: 'Unauthorized', message: 'Invalid credentials.' }),
    refusal(403, { statusCode: 403, error: 'Forbidden', message: 'Insufficient scope' }),
    refusal(403, {
      statusCode: 403,
      error: 'Forbidden',
      message: `Insufficient scope of ${keys.accessKey}`,
    }),
  )

  const unauthorized = await factsOf(tenable.latestStatus('1'))
  const forbidden = await factsOf(tenable.latestStatus('1'))
  const details = await factsOf(tenable.details('1'))

  expect(unauthorized).toMatchObject({
    status: 401,
    correlation: 'b7f0c1d2e3',
    call: 'GET /base/scans/1/latest-status',
  })
  expect(unauthorized.missing?.join()).toMatch(/TENABLE_ACCESS_KEY.*TENABLE_SECRET_KEY/)
  expect(forbidden.missing?.join()).toMatch(/Scan Operator.*Can View/)
  expect(details.said).toMatch(/Insufficient scope of \[hidden\]/)
  expect(details.fix).toMatch(/web application.*not in this API/)
  expect(forbidden.fix).toBe('Give the app what `detail` names as missing.')
})

test('a 429 that is a page of HTML stops the family for as long as its header says', async () => {
  const page = '<html><head><title>429 Too Many Requests</title></head><body>nginx</body></html>'
  const { tenable, used } = await tenableOf(
    refusal(429, page, { 'content-type': 'text/html', 'retry-after': '30' }),
  )

  const facts = await factsOf(tenable.details('1'))

  expect(facts).toMatchObject({ status: 429, retryAfterMs: 30_000, said: '429 Too Many Requests' })
  expect(used).toEqual(['acquire scans interactive', 'stop scans 30000'])
})

test.each([
  ['a page of HTML', { headers: { 'content-type': 'text/html' }, body: '<html>hello</html>' }],
  ['a list', json([1])],
  ['an answer without a status', json({ state: 'running' })],
])('%s with status 200 is a ShapeError', async (_case, step) => {
  const { tenable } = await tenableOf(step)

  await expect(tenable.latestStatus('1')).rejects.toThrow(ShapeError)
})

test('keys and passwords that come back are hidden before anybody sees the answer', async () => {
  const echo = {
    info: { name: `of ${keys.secretKey}` },
    credentials: { ssh: 'CANARY' },
    [keys.accessKey]: 1,
  }
  const { tenable } = await tenableOf(json(echo))

  const details = await tenable.details('1')

  expect(JSON.stringify(details)).not.toContain('CANARY')
})

test('a list of runs that is null has no runs, and a status that is null is empty', async () => {
  const { tenable } = await tenableOf(json({ history: null }), json({ status: null }))

  expect(await tenable.history('1', { limit: 1, offset: 0 })).toEqual({ rows: [], total: null })
  expect(await tenable.latestStatus('1')).toBe('')
})

test('a list of scans that is not there is an error: a list always is', async () => {
  const { tenable } = await tenableOf(refusal(404, { error: 'The requested file was not found' }))

  expect(await factsOf(tenable.probe(new Date(0)))).toMatchObject({
    status: 404,
    call: 'GET /base/scans',
  })
})
