import { request } from 'node:http'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { sampleDefinitions, sampleSessions } from '../../local/simulator/scans/sample-scans.ts'
import { noTimers, startTestStack, type TestStack } from '../stack.ts'

const [good, partly, bad] = sampleSessions
const [network, windows, idle] = sampleDefinitions
let stack: TestStack

beforeAll(async () => {
  stack = await startTestStack({ fleet: { size: 10, files: 1, badLines: 0 }, env: noTimers })
})
beforeEach(() => {
  stack.configure()
  // No answer that is not final is cached that long.
  stack.clock.advance(61_000)
  stack.simulator.setFaults({
    scanHistoryStatus: null,
    scanDefinitionsStatus: null,
    scanHistoryShape: 'documented',
    tenableStatus: null,
    tenableDetailsStatus: null,
    tenableHistoryStatus: null,
    tenableLatestStatus: null,
    slowScanSeconds: 0,
  })
})
afterAll(() => stack.stop())

const get = (path: string, headers: Record<string, string> = {}) =>
  stack.request('GET', `scan-history/${path}`, { headers })
const calls = () => ({ ...stack.simulator.scans.calls })
const sent = (before: ReturnType<typeof calls>) =>
  Object.fromEntries(
    Object.entries(calls())
      .map(([name, count]) => [name, count - (before[name as keyof typeof before] ?? 0)] as const)
      .filter(([, count]) => count > 0),
  )

describe('six answers that must stay different', () => {
  test.each([
    [
      'empty',
      'tenable/scans/117',
      200,
      { state: 'completed', targets: [], completeness: { kind: 'complete' } },
    ],
    [
      'archived',
      'tenable/scans/111',
      200,
      { state: 'completed', targets: null, completeness: { kind: 'archived' } },
    ],
    [
      'never run',
      'tenable/scans/108',
      200,
      { state: 'never-run', targets: null, completeness: { kind: 'none' } },
    ],
    [
      'running',
      'tenable/scans/102',
      200,
      { state: 'running', targets: null, completeness: { kind: 'running' } },
    ],
    ['forbidden', 'tenable/scans/114', 502, { type: 'urn:defender-relay:upstream-refused' }],
    ['not found', 'tenable/scans/99999', 404, { type: 'urn:defender-relay:scan-not-found' }],
  ])('%s', async (_case, path, status, body) => {
    expect(await get(path)).toMatchObject({ status, body })
  })
})

test.each([
  '-1',
  '0',
  '007',
  '1e400',
  '1e3',
  '1.5',
  '0x10',
  'Infinity',
  '-Infinity',
  '12345678901234567890',
])('an id that Tenable can not have is refused without a call: %s', async (id) => {
  const before = calls()

  const answers = [
    await get(`tenable/scans/${id}`),
    await get(`tenable/scans/${id}/runs`),
    await get(`tenable/scans/${id}/status`),
    await get(`tenable/scans/101?run=${id}`),
  ]

  expect(answers.map(({ status, body }) => [status, body.errors[0].path])).toEqual([
    ...Array(3).fill([400, 'path.id']),
    [400, 'query.run'],
  ])
  expect(sent(before)).toEqual({})
})

test.each([
  [101, 'completed', 'complete'],
  [103, 'paused', 'running'],
  [104, 'pending', 'running'],
  [105, 'failed', 'partial'],
  [106, 'canceled', 'partial'],
  [107, 'canceled', 'partial'],
  [109, 'imported', 'complete'],
  [110, 'completed', 'complete'],
  [112, 'imported', 'archived'],
  [113, 'running', 'running'],
])('Tenable scan %i is %s and %s, by number and by schedule UUID', async (id, state, kind) => {
  const scheduleUuid = stack.simulator.scans.tenable.get(id)?.scheduleUuid

  const byNumber = await get(`tenable/scans/${id}`)
  const byUuid = await get(`tenable/scans/${scheduleUuid}`)

  expect(byNumber).toMatchObject({
    status: 200,
    body: { state, completeness: { kind }, id: String(id) },
  })
  expect(byUuid).toMatchObject({
    status: 200,
    body: { state, completeness: { kind }, id: scheduleUuid },
  })
})

describe('details are fetched only when they are needed', () => {
  test('a run that is not over costs one cheap call, and its end is seen', async () => {
    const { tenable } = stack.simulator.scans
    tenable.put({ id: 301, runs: [{}] })
    tenable.startRun(301)

    let before = calls()
    const running = await get('tenable/scans/301')
    const again = await get('tenable/scans/301')
    const whileRunning = sent(before)
    tenable.changeRun(301, { status: 'completed' })
    stack.clock.advance(31_000)
    before = calls()
    const over = await get('tenable/scans/301')

    expect(running.body).toMatchObject({
      state: 'running',
      run: { number: 10030101 },
      cached: null,
    })
    expect(again.body.cached.at).toBeTruthy()
    expect(whileRunning).toEqual({ history: 1 })
    expect(over.body).toMatchObject({ state: 'completed', run: { number: 10030101 } })
    expect(sent(before)).toEqual({ history: 1, 'latest-status': 1, details: 1 })
  })

  test('100 look-ups of a finished run at once make one details call; another process makes none', async () => {
    stack.simulator.scans.tenable.put({ id: 302, runs: [{ hosts: 40 }] })

    const before = calls()
    const answers = await Promise.all(Array.from({ length: 100 }, () => get('tenable/scans/302')))
    const first = sent(before)
    stack.configure()
    stack.clock.advance(24 * 3_600_000)
    const later = calls()
    const uuid = answers[0]?.body.run.id
    const other = await get(`tenable/scans/302?run=${uuid}`)

    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
    expect(first).toEqual({ history: 1, 'latest-status': 1, details: 1 })
    expect(other.body).toMatchObject({
      targets: { length: 40 },
      cached: { at: expect.any(String) },
    })
    expect(sent(later)).toEqual({})
  })

  test('a run by number is the same as by UUID', async () => {
    stack.simulator.scans.tenable.put({ id: 303, runs: [{}, {}] })

    const before = calls()
    const byNumber = await get('tenable/scans/303?run=10030300')
    const byUuid = await get(`tenable/scans/303?run=${byNumber.body.run.id}`)
    const again = await get('tenable/scans/303?run=10030300')

    expect(byUuid.body).toEqual({ ...byNumber.body, cached: { at: expect.any(String) } })
    expect(again.body).toEqual(byUuid.body)
    expect(sent(before)).toEqual({ details: 1 })
  })

  test('an answer that was cached before Tenable archived the run is still whole', async () => {
    stack.simulator.scans.tenable.put({ id: 304, runs: [{ hosts: 2 }] })
    const whole = await get('tenable/scans/304')

    stack.clock.advance(40 * 24 * 3_600_000)
    const later = await get('tenable/scans/304')
    stack.clock.advance(51 * 24 * 3_600_000)
    const tooLate = await get('tenable/scans/304')

    expect(later.body.targets).toEqual(whole.body.targets)
    expect(tooLate.body.completeness.kind).toBe('archived')
  })

  test('a run of another scan is not found, and the answer says that scan or run does not exist', async () => {
    const { body } = await get('tenable/scans/101')

    const answer = await get(`tenable/scans/102?run=${body.run.id}`)

    expect(answer).toMatchObject({
      status: 404,
      body: { type: 'urn:defender-relay:scan-or-run-not-found' },
    })
  })
})

describe('ETags', () => {
  test.each([
    ['tenable/scans/101', 'private, max-age=30'],
    ['tenable/scans/101?run=10010103', 'private, max-age=86400'],
    ['tenable/scans/101?raw=true', 'private, max-age=30'],
    ['tenable/scans/102', 'private, max-age=30'],
    ['tenable/scans/101/runs?limit=2', 'private, max-age=30'],
    ['tenable/scans/101/status', 'no-cache'],
    [`defender/sessions/${good}`, 'private, max-age=86400'],
    [`defender/sessions?id=${good}&id=${partly}`, 'private, max-age=86400'],
    ['defender/definitions', 'private, max-age=30'],
    [`defender/definitions/${network}`, 'private, max-age=30'],
  ])('%s is a 304 for a caller who has it', async (path, cacheControl) => {
    const first = await get(path)
    const etag = first.headers.get('etag') ?? ''

    const known = await get(path, { 'if-none-match': `"other", ${etag}` })
    const strong = await get(path, { 'if-none-match': etag.replace('W/', '') })
    const other = await get(path, { 'if-none-match': '"other"' })

    expect(first.headers.get('cache-control')).toBe(cacheControl)
    expect(known).toMatchObject({ status: 304, body: undefined })
    expect(known.headers.get('etag')).toBe(etag)
    expect(strong.status).toBe(304)
    expect(other.status).toBe(200)
  })

  test('an answer with raw has another ETag', async () => {
    const [plain, raw] = [
      await get(`defender/sessions/${good}`),
      await get(`defender/sessions/${good}?raw=true`),
    ]

    expect(raw.headers.get('etag')).not.toBe(plain.headers.get('etag'))
  })
})

test('an answer from the cache is sent as it is stored, and has every member of a fresh one', async () => {
  stack.simulator.scans.tenable.put({ id: 306, runs: [{ hosts: 40 }] })

  const fresh = await get('tenable/scans/306')
  const path = `tenable/scans/306?run=${fresh.body.run.id}`
  const packed = await get(path, { 'accept-encoding': 'gzip' })
  const plain = await get(path, { 'accept-encoding': 'identity' })

  const encodings = [fresh, packed, plain].map(({ headers }) => headers.get('content-encoding'))
  expect(encodings).toEqual([null, 'gzip', null])
  expect(packed.body).toEqual({ ...fresh.body, cached: { at: expect.any(String) } })
  expect(Object.keys(packed.body)).toEqual(Object.keys(fresh.body))
  expect(plain.body).toEqual(packed.body)
  expect(packed.headers.get('vary')).toBe('accept-encoding')
})

test('raw is the answer of the source, fresh and from the cache', async () => {
  stack.simulator.scans.tenable.put({ id: 305, runs: [{}] })

  const before = calls()
  const fresh = await get('tenable/scans/305?raw=true')
  const cached = await get('tenable/scans/305?raw=true')

  expect(fresh.body.raw).toMatchObject({
    info: { status: 'completed' },
    vulnerabilities: expect.any(Array),
  })
  expect(cached.body.raw).toEqual(fresh.body.raw)
  expect(cached.body.cached).not.toBeNull()
  expect(sent(before)).toMatchObject({ details: 1 })
})

describe('pages', () => {
  test('runs are listed newest first, page by page, each once', async () => {
    const runs: string[] = []
    let path = 'tenable/scans/101/runs?limit=3'
    for (let pages = 0; path && pages < 5; pages++) {
      const { body, headers } = await get(path)
      runs.push(...body.runs.map(({ number }: { number: number }) => number))
      const next =
        /<\/api\/scan-history\/([^>]+)>; rel="next"/.exec(headers.get('link') ?? '')?.[1] ?? ''
      expect(Boolean(next)).toBe(body.next !== null)
      path = next
    }

    expect(runs).toEqual([10010103, 10010102, 10010101, 10010100])
  })

  test('a cursor of another scan is refused', async () => {
    const { body } = await get('tenable/scans/101/runs?limit=1')

    expect((await get(`tenable/scans/111/runs?after=${body.next}`)).status).toBe(400)
  })

  test.each([108, 109, 110])('scan %i has no runs to list', async (id) => {
    expect(await get(`tenable/scans/${id}/runs`)).toMatchObject({
      status: 200,
      body: { runs: [], next: null },
    })
  })

  test('definitions and the sessions of one are listed in pages', async () => {
    const first = await get('defender/definitions?limit=2')
    const rest = await get(`defender/definitions?limit=2&after=${first.body.next}`)
    const sessions = await get(`defender/definitions/${network}?limit=1`)
    const more = await get(`defender/definitions/${network}?limit=1&after=${sessions.body.next}`)
    const none = await get(`defender/definitions/${idle}`)
    const unknown = await get('defender/definitions/nobody')

    const ids = [...first.body.definitions, ...rest.body.definitions].map(({ id }) => id)
    expect(ids).toEqual([network, windows, idle])
    expect(rest.body.next).toBeNull()
    expect(sessions.body).toMatchObject({
      definition: { id: network, name: 'Network devices' },
      sessions: [{ state: 'completed' }],
    })
    expect(more.body).toMatchObject({ sessions: [{ state: 'partial' }], next: null })
    expect(none.body).toMatchObject({ definition: { isActive: false }, sessions: [], next: null })
    expect(unknown).toMatchObject({
      status: 404,
      body: { type: 'urn:defender-relay:definition-not-found' },
    })
  })
})

describe('Defender sessions', () => {
  test.each(['documented', 'session-sample', 'metadata', 'one-target'] as const)(
    'are the same scans in the shape %s',
    async (scanHistoryShape) => {
      const id = `${scanHistoryShape.replace('-', '')}0000`
      stack.simulator.scans.sessions.put({ id, targets: [{}] })
      stack.simulator.setFaults({ scanHistoryShape })

      const { status, body } = await get(`defender/sessions/${id}`)

      expect(status).toBe(200)
      expect(body).toMatchObject({
        source: 'defender',
        id,
        run: { id },
        state: 'completed',
        completeness: { kind: 'complete' },
        counts: { targets: 1, succeeded: 1, failed: 0 },
        targets: [{ ip: '127.0.0.1', durationSeconds: 510 }],
      })
    },
  )

  test('several are one call, and those that do not exist are named', async () => {
    const ids = ['s1', 's2', 's3']
    for (const id of ids) stack.simulator.scans.sessions.put({ id })
    await get('defender/sessions/s2')

    const before = calls()
    const { body } = await get('defender/sessions?id=s3&id=s1&id=missing&id=s2&id=s1')

    expect(body.sessions.map(({ id }: { id: string }) => id)).toEqual(['s1', 's2', 's3'])
    expect(body.notFound).toEqual(['missing'])
    expect(body.sessions[1].cached).not.toBeNull()
    expect(sent(before)).toEqual({ 'by-session': 1 })
  })

  test('are one answer and one cache entry, however their id is written', async () => {
    stack.simulator.scans.sessions.put({ id: 'abc1' })
    const first = await get('defender/sessions/ABC1')

    const before = calls()
    const [again, list] = [
      await get('defender/sessions/aBc1'),
      await get('defender/sessions?id=ABC1&id=abc1'),
    ]

    expect([first.body.id, again.body.id]).toEqual(['abc1', 'abc1'])
    expect(again.body.cached).not.toBeNull()
    expect(list.body.sessions.map(({ id }: { id: string }) => id)).toEqual(['abc1'])
    expect(sent(before)).toEqual({})
  })

  test('of a definition without their ids say that a look-up by id may have more', async () => {
    const id = network?.toUpperCase()
    const { body } = await get(`defender/definitions/${id}`)

    expect(body.definition.id).toBe(network)
    expect(body.sessions.length).toBeGreaterThan(1)
    expect(body.sessions[1].run).toBeNull()
    for (const { completeness } of body.sessions)
      expect(completeness.whereElse).toBe(
        'This list gives no id of the session. GET /api/scan-history/defender/sessions/{id} may have more.',
      )
  })

  test('a failure is answered with its message', async () => {
    stack.simulator.setFaults({ scanHistoryShape: 'metadata' })

    const { body } = await get(`defender/sessions/${bad}`)

    expect(body).toMatchObject({ state: 'failed', errorMessage: 'The scanner could not sign in.' })
  })

  test('that do not exist are a 404; no id or too many are refused', async () => {
    const many = Array.from({ length: 21 }, (_, n) => `id=s${n}`).join('&')

    expect(await get('defender/sessions/nobody')).toMatchObject({
      status: 404,
      body: { title: 'There is no such session' },
    })
    expect((await get('defender/sessions?id=nobody&id=nobody2')).status).toBe(404)
    expect((await get('defender/sessions')).status).toBe(400)
    expect((await get(`defender/sessions?${many}`)).status).toBe(400)
  })
})

test.each([
  'tenable/scans/abc',
  'tenable/scans/1e2',
  'tenable/scans/latest/runs',
  'tenable/scans/101?run=nope',
  'tenable/scans/101?run=latest',
  'tenable/scans/101?run=',
  'tenable/scans/101?run=0',
  `tenable/scans/101?run=${'a'.repeat(200)}-1`,
])('%s is no number and no UUID: one fault, and nothing is sent', async (path) => {
  const before = calls()

  const { status, body } = await get(path)

  const message = 'must be a positive whole number or a UUID'
  expect(status).toBe(400)
  expect(body.errors).toEqual([{ path: path.includes('run=') ? 'query.run' : 'path.id', message }])
  expect(sent(before)).toEqual({})
})

describe('ids that try to leave the path', () => {
  const ids = [
    '..',
    'a..b',
    '.a',
    '%2e%2e',
    '%2F',
    'a%2Fb',
    'a%5Cb',
    '%3Fx=1',
    'a%00b',
    'a%0d%0ab',
    'a b',
    'a%23',
    'ä',
  ]
  const paths = [
    'defender/sessions/ID',
    'defender/definitions/ID',
    'tenable/scans/ID',
    'tenable/scans/ID/status',
  ]

  /** fetch() normalizes a path before it sends it. */
  const raw = (path: string) =>
    new Promise<number>((resolve, reject) => {
      const { hostname, port } = new URL(stack.host.url)
      const headers = { 'x-functions-key': stack.keys.function }
      const asking = request(
        { hostname, port, path: encodeURI(path).replaceAll('%25', '%'), headers },
        (answer) => {
          answer.resume().on('end', () => resolve(answer.statusCode ?? 0))
        },
      )
      asking.on('error', reject).end()
    })

  test.each([
    ...paths,
    'defender/sessions?id=ID',
    'tenable/scans/101?run=ID',
    'tenable/scans/ID/runs',
  ])('are refused by %s, and nothing is sent', async (path) => {
    const before = calls()

    const statuses = await Promise.all(
      ids.map((id) => raw(`/api/scan-history/${path.replace('ID', id)}`)),
    )
    const [long, longer] = await Promise.all(
      [4000, 10_000].map((length) =>
        raw(`/api/scan-history/${path.replace('ID', 'a'.repeat(length))}`),
      ),
    )

    // Two dots match no route at all.
    expect(statuses.filter((status) => status !== 400 && status !== 404)).toEqual([])
    expect(long).toBe(400)
    // The host itself refuses a request line that long.
    expect(longer).toBe(414)
    expect(sent(before)).toEqual({})
  })
})

describe('failures upstream', () => {
  test('the answer for a scan of a web application says that its results are not in this API', async () => {
    const [forbidden, failed] = [await get('tenable/scans/114'), await get('tenable/scans/115')]
    const { body } = await stack.get('status')

    expect([forbidden.status, failed.status]).toEqual([502, 502])
    for (const answer of [forbidden, failed])
      expect(answer.body.fix).toMatch(
        /^If it scans a web application: its results are not in this API, .*Otherwise: /,
      )
    // The status has nothing to say about it.
    expect(JSON.stringify([forbidden.body.fix, failed.body.fix])).not.toContain('status')
    expect(body.upstreams.tenable.state).toBe('ok')
  })

  test('403 names what is missing, and the id for support', async () => {
    stack.simulator.setFaults({
      tenableStatus: { answer: 'forbidden', calls: 1 },
      scanHistoryStatus: { answer: 403, calls: 1 },
    })

    const tenable = await get('tenable/scans/101/status')
    const status = await stack.get('status')

    expect(tenable).toMatchObject({
      status: 502,
      body: {
        type: 'urn:defender-relay:upstream-refused',
        fix: 'Give the app what `detail` names as missing.',
      },
    })
    expect(tenable.body.detail).toMatch(
      /missing: Scan Operator \[24\] \+ Can View \[16\].*id of this answer/,
    )
    // Permissions are per scan: one refusal says nothing about the others.
    expect(status.body.upstreams.tenable.state).not.toBe('forbidden')
    expect(status.body.sections.scanHistory).toMatchObject({ state: 'ok' })
  })

  test('an error of one scan leaves the status as it was; refused keys change it', async () => {
    await get('tenable/scans/101')

    for (const id of [114, 115]) await get(`tenable/scans/${id}`)
    const { body: alone } = await stack.get('status')
    stack.simulator.setFaults({ tenableStatus: { answer: 'unauthorized', calls: 1 } })
    await get('tenable/scans/101/status')
    const { body: all } = await stack.get('status')

    expect([alone.upstreams.tenable.state, alone.sections.scanHistory.state]).toEqual(['ok', 'ok'])
    expect([all.upstreams.tenable.state, all.sections.scanHistory.state]).toEqual([
      'forbidden',
      'degraded',
    ])
  })

  test('500 of a scan of a web application names the likely cause', async () => {
    const answer = await get('tenable/scans/115')

    expect(answer).toMatchObject({
      status: 502,
      body: { type: 'urn:defender-relay:upstream-unavailable' },
    })
    expect(answer.body.fix).toContain('web application')
  })

  test('429 is answered at once with Retry-After, and no call is made until then', async () => {
    stack.simulator.setFaults({ tenableStatus: { answer: 'rate', calls: 1 } })

    const first = await get('tenable/scans/101/status')
    const before = calls()
    const second = await get('tenable/scans/101/status')
    const afterwards = sent(before)

    for (const { status, body, headers } of [first, second]) {
      expect({ status, type: body.type }).toEqual({
        status: 429,
        type: 'urn:defender-relay:upstream-throttled',
      })
      expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)
    }
    expect(afterwards).toEqual({})
  })

  test('no answer is a 504 before the host ends the request', async () => {
    stack.simulator.setFaults({ slowScanSeconds: 3600 })

    const before = calls()
    const waiting = get('defender/sessions/slow')
    while (sent(before)['by-session'] !== 1) await new Promise((resolve) => setTimeout(resolve, 5))
    stack.clock.advance(95_000)

    expect(await waiting).toMatchObject({
      status: 504,
      body: { type: 'urn:defender-relay:upstream-timeout' },
    })
  })

  test.each(['html-200', 'broken-json'] as const)(
    '%s is a changed answer, not an empty one',
    async (answer) => {
      stack.simulator.setFaults({ tenableStatus: { answer, calls: 1 } })

      expect(await get('tenable/scans/101/runs')).toMatchObject({
        status: 502,
        body: { type: 'urn:defender-relay:upstream-changed' },
      })
    },
  )

  test('a failure is not cached', async () => {
    stack.simulator.setFaults({ tenableHistoryStatus: { answer: 'forbidden', calls: 1 } })

    const [first, second] = [
      await get('tenable/scans/101/runs'),
      await get('tenable/scans/101/runs'),
    ]

    expect([first.status, second.status]).toEqual([502, 200])
  })
})

describe('settings', () => {
  const off = { TENABLE_ACCESS_KEY: '', TENABLE_SECRET_KEY: '' }

  test('without keys Tenable is off, the answer names the settings, and Defender still works', async () => {
    stack.configure(off)

    const tenable = await get('tenable/scans/101')
    const defender = await get(`defender/sessions/${good}`)
    const { body } = await stack.get('status')

    expect(tenable).toMatchObject({
      status: 503,
      body: { type: 'urn:defender-relay:not-configured' },
    })
    expect(tenable.body.detail).toMatch(/TENABLE_ACCESS_KEY.*TENABLE_SECRET_KEY/)
    expect(defender.status).toBe(200)
    expect(body.upstreams.tenable).toBeNull()
    expect(body.sections.scanHistory).toEqual({ state: 'ok', problems: [] })
  })

  test.each([
    [{ TENABLE_SECRET_KEY: '' }, 'TENABLE_SECRET_KEY is missing'],
    [
      { TENABLE_SECRET_KEY: '@Microsoft.KeyVault(SecretUri=https://v/s)' },
      'TENABLE_SECRET_KEY is a Key Vault reference',
    ],
    [
      { TENABLE_BASE_URL: 'http://cloud.tenable.com' },
      'TENABLE_BASE_URL is wrong: expected an https address',
    ],
    [
      { TENABLE_BASE_URL: 'http://127.0.0.1.evil.example' },
      'TENABLE_BASE_URL is wrong: expected an https address',
    ],
  ])('with %o only Tenable is stopped, and the status says why', async (env, title) => {
    stack.configure(env)

    const tenable = await get('tenable/scans/101')
    const defender = await get(`defender/sessions/${good}`)
    const { body } = await stack.get('status')

    expect(tenable).toMatchObject({ status: 503, body: { detail: expect.stringContaining(title) } })
    expect(defender.status).toBe(200)
    expect(body.sections.scanHistory.state).toBe('degraded')
    expect(body.sections.scanHistory.problems[0].title).toContain(title)
    expect(JSON.stringify(body)).not.toContain('https://v/s')
  })
})

test('the status has both budgets', async () => {
  await get('tenable/scans/101/status')

  const { body } = await stack.get('status')

  expect(body.upstreams.tenable).toMatchObject({
    state: 'ok',
    budgets: { scans: { stoppedUntil: null } },
  })
  expect(body.upstreams.defender.budgets).toHaveProperty('authenticated-scans')
})
