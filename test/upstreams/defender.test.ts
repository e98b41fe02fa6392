import { inspect } from 'node:util'
import { expect, test } from 'vitest'
import { createAdjustableClock } from '../../local/clock.ts'
import { defenderLimits } from '../../shared/app/flows.ts'
import { createBudget } from '../../shared/platform/budget.ts'
import { ShapeError, UpstreamError, type UpstreamFacts } from '../../shared/platform/errors.ts'
import { createHttp } from '../../shared/platform/http.ts'
import { createDefender, type DefenderOptions } from '../../shared/upstreams/defender.ts'
import { createMemoryTable } from '../memory-table.ts'
import { json, type Step, scripted } from '../platform/http-script.ts'

const tokenOf = (payload: object) =>
  `e30.${Buffer.from(JSON.stringify(payload)).toString('base64url')}.SECRETsignature`

async function defenderOf(steps: Step[], more: Partial<DefenderOptions> = {}) {
  const server = await scripted(...steps)
  const clock = createAdjustableClock()
  const asked: boolean[] = []
  const token = async ({ fresh = false } = {}) => {
    asked.push(fresh)
    return tokenOf({ aud: 'https://aud', roles: ['Alert.Read.All'], n: asked.length })
  }
  const table = createMemoryTable('Budgets', clock)
  await table.create()
  const budget = createBudget({ upstream: 'defender', clock, limits: defenderLimits, table })
  const http = createHttp({ upstream: 'defender', clock, userAgent: 'relay-test', backoffMs: 1 })
  const defender = createDefender({ http, token, budget, baseUrl: server.url(), ...more })
  return { server, clock, budget, defender, asked }
}

/** The facts of the UpstreamError of a rejected promise. */
async function factsOf(promise: Promise<unknown>): Promise<UpstreamFacts> {
  const error = await promise.catch((reason: unknown) => reason)
  if (!(error instanceof UpstreamError)) throw new Error(`no UpstreamError but ${inspect(error)}`)
  expect(inspect(error, { depth: 9, showHidden: true })).not.toContain('SECRET')
  return error.facts
}

async function all<T>(pages: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const page of pages) list.push(page)
  return list
}

const rows = (count: number, from = 0) =>
  Array.from({ length: count }, (_, index) => ({ machineId: `m${from + index}` }))

test('the files of the export are listed with their links and the time they were made', async () => {
  const answer = {
    '@odata.context': 'x',
    exportFiles: ['https://a/1', 'https://a/2'],
    generatedTime: '2026-11-21T09:00Z',
  }
  const { defender, server } = await defenderOf([json(answer)])

  const list = await defender.listExportFiles(1)

  expect(list).toEqual({
    files: ['https://a/1', 'https://a/2'],
    generatedTime: '2026-11-21T09:00Z',
  })
  expect(server.sent[0]).toMatchObject({
    method: 'GET',
    path: '/api/machines/InfoGatheringExport?sasValidHours=1',
  })
  expect(server.sent[0]?.headers).toMatchObject({ accept: 'application/json' })
  expect(server.sent[0]?.headers.authorization).toMatch(/^Bearer e30\./)
})

test('an export without files or time is an answer too', async () => {
  const { defender } = await defenderOf([
    json({ exportFiles: [], generatedTime: null }),
    json({ exportFiles: [] }),
  ])

  const lists = [await defender.listExportFiles(1), await defender.listExportFiles(1)]

  expect(lists).toEqual([
    { files: [], generatedTime: null },
    { files: [], generatedTime: null },
  ])
})

test.each([{}, { exportFiles: 'x' }, { exportFiles: [1] }, [], null])(
  'an answer of another shape is a ShapeError and no empty list: %j',
  async (answer) => {
    const { defender } = await defenderOf([json(answer), json(answer)])

    const list = defender.listExportFiles(1)
    const pages = all(defender.deviceAvInfoPages())

    await expect(list).rejects.toThrow(ShapeError)
    await expect(pages).rejects.toThrow(ShapeError)
  },
)

test('pages are asked for with $top, and links to the next are followed with our token', async () => {
  const date = 'Sat, 21 Nov 2026 10:00:00 GMT'
  const { defender, server } = await defenderOf([
    (response) =>
      response.writeHead(200, { date }).end(
        JSON.stringify({
          value: rows(2),
          '@odata.nextLink': `${server.url()}api/deviceavinfo?$skiptoken=a%2B1`,
        }),
      ),
    json({ value: rows(1, 2), '@odata.nextLink': '/api/deviceavinfo?$skiptoken=b' }),
    json({ value: [] }),
  ])

  const pages = await all(defender.deviceAvInfoPages())

  expect(pages.map((page) => page.rows)).toEqual([rows(2), rows(1, 2), []])
  expect(pages[0]?.date).toEqual(new Date('2026-11-21T10:00:00Z'))
  expect(server.sent.map(({ path }) => path)).toEqual([
    '/api/deviceavinfo?$top=10000',
    '/api/deviceavinfo?$skiptoken=a%2B1',
    '/api/deviceavinfo?$skiptoken=b',
  ])
  expect(server.sent.every(({ headers }) => headers.authorization?.startsWith('Bearer '))).toBe(
    true,
  )
})

test('a link to another host is requested at our own', async () => {
  const link = 'https://stranger.invalid/api/deviceavinfo?$skiptoken=a'
  const { defender, server } = await defenderOf([
    json({ value: rows(1), '@odata.nextLink': link }),
    json({ value: [] }),
  ])

  await all(defender.deviceAvInfoPages())

  expect(server.sent[1]).toMatchObject({ path: '/api/deviceavinfo?$skiptoken=a' })
})

test('a full page without a link is followed by $skip as a plain integer, from its last row on', async () => {
  const { defender, server } = await defenderOf([
    json({ value: rows(10_000) }),
    json({ value: rows(10_000, 9_999), '@odata.nextLink': null }),
    json({ value: rows(3, 19_998) }),
  ])

  const pages = await all(defender.deviceAvInfoPages())

  expect(pages.flatMap((page) => page.rows)).toHaveLength(20_001)
  expect(server.sent.map(({ path }) => path)).toEqual([
    '/api/deviceavinfo?$top=10000',
    '/api/deviceavinfo?$top=10000&$skip=9999',
    '/api/deviceavinfo?$top=10000&$skip=19998',
  ])
})

const familyOf = {
  name: 'machine-actions',
  path: '/api/machineactions',
  probePath: '/',
  roles: ['Alert.Read.All'],
  limit: { perMinute: 100, perHour: 1500 },
} as const
const ids = (count: number, from = 0) =>
  Array.from({ length: count }, (_, index) => ({ id: `a${from + index}` }))
const asked = '/api/machineactions?$filter=status%20eq%20%27Pending%27&$top=10000'

test.each([
  ['its parameters without names', "?=status eq 'Pending'&=10000&$skip=4"],
  ['another filter', "?$filter=status eq 'Failed'&$skiptoken=x"],
  ['no filter', '?$skiptoken=x'],
  ['an offset that we can count ourselves', "?$filter=status eq 'Pending'&$skip=4"],
  ['no URL', 'http://'],
])('a link to the next page with %s is replaced by our own $skip', async (_what, link) => {
  const { defender, server } = await defenderOf([
    json({ value: ids(4), '@odata.nextLink': link }),
    json({ value: ids(2, 3) }),
  ])

  const pages = await all(defender.items(familyOf, "status eq 'Pending'"))

  expect(pages.flatMap((page) => page.rows)).toEqual(ids(5))
  expect(server.sent.map(({ path }) => path)).toEqual([asked, `${asked}&$skip=3`])
})

test('a link with our filter and a position of the service is followed', async () => {
  const link = '/api/machineactions?$filter=status+eq+%27Pending%27&$skiptoken=x'
  const { defender, server } = await defenderOf([
    json({ value: ids(4), '@odata.nextLink': link }),
    json({ value: ids(1, 4) }),
  ])

  await all(defender.items(familyOf, "status eq 'Pending'"))

  expect(server.sent[1]?.path).toBe(link)
})

const linked = (value: unknown[]) => json({ value, '@odata.nextLink': '?$skip=1' })

test('a page that does not begin with the last row of the one before is asked for from further back', async () => {
  const { defender, server } = await defenderOf([
    linked(ids(20)),
    // Three rows have left the front.
    linked(ids(20, 22)),
    linked(ids(20, 13)),
    json({ value: ids(5, 32) }),
  ])

  const pages = await all(defender.items(familyOf, "status eq 'Pending'"))

  expect(pages.flatMap((page) => page.rows)).toEqual(ids(37))
  const skips = server.sent.map(({ path }) => path.split('$skip=')[1])
  expect(skips).toEqual([undefined, '19', '10', '29'])
})

test('a page that rows have entered before repeats rows, and they are answered once', async () => {
  const { defender } = await defenderOf([linked(ids(20)), json({ value: ids(20, 17) })])

  const pages = await all(defender.items(familyOf, "status eq 'Pending'"))

  expect(pages.flatMap((page) => page.rows)).toEqual(ids(37))
})

test('pages of devices overlap too', async () => {
  const { defender } = await defenderOf([
    linked(rows(20)),
    linked(rows(20, 22)),
    json({ value: rows(20, 13) }),
  ])

  const pages = await all(defender.deviceAvInfoPages())

  expect(pages.flatMap((page) => page.rows)).toEqual(rows(33))
})

test('a list that moves faster than it can be read is no list', async () => {
  const { defender } = await defenderOf([linked(ids(3)), linked(ids(3, 100)), linked(ids(3, 200))])

  await expect(all(defender.items(familyOf, "status eq 'Pending'"))).rejects.toThrow(ShapeError)
})

test('a row that is nested 20,000 deep is null, and the others are answered; alone it loses only what is too deep', async () => {
  const deep = `${'['.repeat(20_000)}${']'.repeat(20_000)}`
  const { defender } = await defenderOf([
    { body: `{"value":[{"id":"a0"},{"id":"b","x":${deep}},{"id":"a1"}]}` },
    { body: `{"id":"b","x":${deep}}` },
  ])

  const pages = await all(defender.items(familyOf, "status eq 'Pending'"))
  const item = await defender.item(familyOf, 'b')

  expect(pages.flatMap((page) => page.rows)).toEqual([{ id: 'a0' }, null, { id: 'a1' }])
  expect(item).toEqual({ id: 'b', x: [null] })
})

test.each<[string, Step[]]>([
  [
    'a link leads back',
    [json({ value: rows(1), '@odata.nextLink': '/api/deviceavinfo?$top=10000' })],
  ],
  [
    'every link is new and every page the same',
    [
      json({ value: rows(2), '@odata.nextLink': '/api/deviceavinfo?a=1' }),
      json({ value: rows(2), '@odata.nextLink': '/api/deviceavinfo?a=2' }),
    ],
  ],
  ['$skip is ignored', [json({ value: rows(10_000) }), json({ value: rows(10_000) })]],
])('a list that goes in circles ends as a ShapeError: %s', async (_, steps) => {
  const { defender } = await defenderOf(steps)

  await expect(all(defender.deviceAvInfoPages())).rejects.toThrow(ShapeError)
})

test.each([401, 403])('a %i brings one more try, with a fresh token', async (status) => {
  const { defender, asked, server } = await defenderOf([{ status }, json({ exportFiles: [] })])

  await defender.listExportFiles(1)

  expect(asked).toEqual([false, true])
  const [first, second] = server.sent.map(({ headers }) => headers.authorization)
  expect(second).not.toBe(first)
})

test.each([401, 403])(
  'a second %i ends the call with the claims of our token; the next call is made as usual',
  async (status) => {
    const { defender, asked } = await defenderOf([
      { status },
      { status },
      json({ exportFiles: [] }),
    ])

    const facts = await factsOf(defender.listExportFiles(1))
    await defender.listExportFiles(1)

    expect(facts).toMatchObject({
      status,
      retryable: false,
      claims: { aud: 'https://aud', roles: ['Alert.Read.All'] },
    })
    expect(asked).toEqual([false, true, false])
  },
)

const forbidden = { status: 403, body: '{"error":{"code":"Forbidden","message":"no such role"}}' }

test('a 403 names the roles that are enough and the claims of our token', async () => {
  const { defender } = await defenderOf([forbidden, forbidden, forbidden, forbidden])

  const ofExport = await factsOf(defender.listExportFiles(1))
  const ofList = await factsOf(all(defender.deviceAvInfoPages()))

  const claims = { aud: 'https://aud', roles: ['Alert.Read.All'] }
  expect(ofExport).toMatchObject({ status: 403, code: 'Forbidden', said: 'no such role', claims })
  expect(ofExport.missing).toEqual(['Vulnerability.Read.All', 'Machine.ReadWrite.All'])
  expect(ofList.missing).toEqual(['Machine.Read.All', 'Machine.ReadWrite.All'])
})

test('a 403 that no role would change names none', async () => {
  const held = async () => tokenOf({ roles: ['Vulnerability.Read.All'] })
  const { defender } = await defenderOf([forbidden, forbidden], { token: held })
  const off = { status: 403, body: '{"error":{"code":"DisabledFeature"}}' }
  const { defender: other } = await defenderOf([off, off])

  const withRole = await factsOf(defender.listExportFiles(1))
  const disabled = await factsOf(other.listExportFiles(1))

  expect([withRole.missing, disabled.missing]).toEqual([undefined, undefined])
})

test.each([404, 410])('a route that is gone is thrown with its status %i', async (status) => {
  const { defender } = await defenderOf([{ status }])

  const facts = await factsOf(defender.listExportFiles(1))

  expect(facts).toMatchObject({
    status,
    retryable: false,
    call: 'GET /api/machines/InfoGatheringExport',
  })
})

test('a 429 stops its family until the time that it names', async () => {
  const body =
    '{"error":{"code":"429","message":"quota exceeded! You can send requests again in 90 seconds."}}'
  const { defender, budget, clock, server } = await defenderOf([
    { status: 429, body },
    json({ exportFiles: [] }),
  ])

  const refused = await factsOf(defender.listExportFiles(1))
  const stopped = await factsOf(defender.listExportFiles(1))
  const left = await budget.report()
  // The time of the table service is known to the second.
  clock.advance(92_000)
  await defender.listExportFiles(1)

  expect(refused).toMatchObject({ status: 429, code: '429', retryAfterMs: 90_000 })
  expect(stopped).toMatchObject({ status: 429, code: 'OwnBudget', retryable: true })
  expect(left.export?.stoppedUntil).toEqual(expect.any(String))
  expect(left.deviceavinfo?.stoppedUntil).toBeNull()
  expect(server.sent).toHaveLength(2)
})

test('too many calls at once stop the family for five seconds at most', async () => {
  const body =
    '{"error":{"code":"429","message":"Too many concurrent requests. Try again in 10 minutes."}}'
  const { defender, budget, clock } = await defenderOf([
    { status: 429, body, headers: { 'retry-after': '600' } },
    json({ exportFiles: [] }),
  ])

  const refused = await factsOf(defender.listExportFiles(1))
  const left = await budget.left('export')
  clock.advance(7000)
  const list = await defender.listExportFiles(1)

  expect(refused).toMatchObject({ status: 429, throttle: 'concurrency', retryAfterMs: 600_000 })
  expect(Date.parse(left.stoppedUntil ?? '')).toBeLessThan(clock.now().getTime() + 7000)
  expect(list.files).toEqual([])
})

test('every attempt uses a token of the budget, repeated ones too', async () => {
  const { defender, budget } = await defenderOf([
    { status: 503 },
    { status: 401 },
    json({ exportFiles: [] }),
  ])

  await defender.listExportFiles(1)

  expect(await budget.left('export')).toMatchObject({ minuteLeft: 1, hourLeft: 15 })
})

test('the export never asks more often than nine tenths of five times a minute', async () => {
  const { defender } = await defenderOf(Array.from({ length: 4 }, () => json({ exportFiles: [] })))
  for (let call = 0; call < 4; call += 1) await defender.listExportFiles(1)

  const facts = await factsOf(defender.listExportFiles(1))

  expect(facts).toMatchObject({ code: 'OwnBudget', retryable: true })
  expect(facts.retryAfterMs).toBeLessThanOrEqual(75_000)
})

test('a failure to get a token is thrown unchanged', async () => {
  const failure = new UpstreamError({
    upstream: 'entra',
    call: 'token',
    status: 403,
    reason: 'refused',
    retryable: false,
  })
  const first = await defenderOf([], { token: () => Promise.reject(failure) })
  const second = await defenderOf([{ status: 401 }], {
    token: async ({ fresh = false } = {}) => (fresh ? Promise.reject(failure) : 'stale'),
  })

  const errors = await Promise.all(
    [first, second].map(({ defender }) =>
      defender.listExportFiles(1).catch((error: unknown) => error),
    ),
  )

  expect(errors).toEqual([failure, failure])
})
