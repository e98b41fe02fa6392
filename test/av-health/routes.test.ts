import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { toCursor } from '../../shared/platform/paging.ts'
import { getRaw, sendRaw } from '../local/host/raw-http.ts'
import {
  type Answer,
  noTimers,
  startTestStack,
  type TestStack,
  type TestStackOptions,
} from '../stack.ts'

const DAY_MS = 24 * 60 * 60_000
/** No timer starts anything: the tests do. */
const quiet: TestStackOptions = {
  fleet: { size: 60, files: 5, badLines: 0 },
  env: {
    ...noTimers,
  },
}
const unknownRun = '20200101000000abcd'

let stack: TestStack
let run: { runId: string; snapshot: string; files: unknown[]; counts: { listed: number } }

beforeAll(async () => {
  stack = await startTestStack(quiet)
  const { body } = await stack.post('av-health/exports')
  run = await stack.runToEnd(body.runId)
})
afterAll(() => stack.stop())

/** The rows that no rejected request may change. */
async function storedRows(): Promise<string[]> {
  const { table } = await stack.engine()
  const rows = []
  for (const name of ['Exports', 'Tickets', 'DefenderRelayInstances']) {
    for await (const row of table(name).list({})) rows.push(JSON.stringify(row))
  }
  return rows
}

const problemOf = ({ status, body, headers }: Answer) => ({
  status,
  type: body?.type,
  content: headers.get('content-type'),
})
const problem = (status: number, name: string) => ({
  status,
  type: `urn:defender-relay:${name}`,
  content: 'application/problem+json',
})

describe('a request that is rejected', () => {
  const paths = [
    ['GET', 'status'],
    ['POST', 'av-health/exports'],
    ['GET', 'av-health/exports'],
    ['GET', `av-health/exports/${unknownRun}`],
    ['GET', `av-health/exports/${unknownRun}/wait`],
    ['GET', 'av-health/snapshots'],
    ['GET', 'devices/abc'],
  ] as const

  test.each(paths)(
    '%s %s without a key, or with a wrong one, is 401 and says nothing',
    async (method, path) => {
      const url = `${stack.host.url}/api/${path}`

      const answers = await Promise.all([
        fetch(url, { method }),
        fetch(url, { method, headers: { 'x-functions-key': 'wrong' } }),
        fetch(`${url}?code=wrong`, { method }),
      ])

      expect(answers.map(({ status }) => status)).toEqual([401, 401, 401])
      expect(await Promise.all(answers.map((answer) => answer.text()))).toEqual(['', '', ''])
    },
  )

  test.each([
    ['PUT', 'av-health/exports'],
    ['DELETE', 'av-health/exports'],
    ['HEAD', 'av-health/exports'],
    ['OPTIONS', 'av-health/exports'],
    ['POST', 'av-health/snapshots'],
    ['POST', 'status'],
    ['PATCH', `av-health/exports/${unknownRun}`],
    ['GET', 'av-health'],
    ['GET', 'av-health/nothing'],
  ])('%s %s, which is no route, is 404 and says nothing', async (method, path) => {
    const answer = await stack.request(method, path)

    expect(answer).toMatchObject({ status: 404, body: undefined })
  })

  test.each([
    ['not-a-run', 400, 'invalid-request'],
    ['20261121000000ABCD', 400, 'invalid-request'],
    ['20261121000000abcde', 400, 'invalid-request'],
    [unknownRun, 404, 'run-not-found'],
  ])('run %s is %i, its wait too', async (runId, status, name) => {
    const [shown, waited] = await Promise.all([
      stack.get(`av-health/exports/${runId}`),
      stack.get(`av-health/exports/${runId}/wait`),
    ])

    expect(problemOf(shown)).toEqual(problem(status, name))
    expect(problemOf(waited)).toEqual(problem(status, name))
  })

  test.each([
    ['av-health/exports?color=red', 'query.color'],
    ['av-health/exports?limit=5&limit=6', 'query.limit'],
    ['av-health/exports?Limit=5', 'query.Limit'],
    ['av-health/exports?limit=0', 'query.limit'],
    ['av-health/exports?limit=1001', 'query.limit'],
    ['av-health/exports?limit=x', 'query.limit'],
    ['av-health/exports?limit=', 'query.limit'],
    ['av-health/exports?limit=1e2', 'query.limit'],
    ['av-health/exports?after=', 'query.after'],
    ['av-health/exports?after=%00', 'query.after'],
    [`av-health/exports?after=${toCursor('runs', 3)}`, 'query.after'],
    [`av-health/exports?after=${toCursor('snapshots', unknownRun)}`, 'query.after'],
    [`av-health/exports?after=${unknownRun}`, 'query.after'],
    ['av-health/snapshots?limit=0', 'query.limit'],
    [`av-health/snapshots?after=${toCursor('snapshots', 'current')}`, 'query.after'],
    [
      `av-health/exports/${unknownRun}?after=${toCursor('files', [unknownRun, unknownRun])}`,
      'query.after',
    ],
    [`av-health/exports/${unknownRun}?after=${toCursor('files', [unknownRun, -1])}`, 'query.after'],
    [`av-health/exports/${unknownRun}/wait?limit=1`, 'query.limit'],
    ['av-health/exports?since=2999-01-01T00:00:00Z', 'query.since'],
    ['av-health/changes?since=1d&until=2d', 'query.since'],
    ['devices/abc?x=1', 'query.x'],
    ['status?x=1', 'query.x'],
    ['health?x=1', 'query.x'],
    ['av-health/exports?__proto__=1', 'query.__proto__'],
  ])('GET %s is 400 and names %s', async (path, where) => {
    const answer = await stack.get(path)

    expect(problemOf(answer)).toEqual(problem(400, 'invalid-request'))
    expect(answer.body.errors).toEqual([{ path: where, message: expect.stringMatching(/./) }])
  })

  const start = (
    body: string,
    headers: Record<string, string> = { 'content-type': 'application/json' },
  ) => stack.request('POST', 'av-health/exports', { body, headers })

  test.each([
    ['{"method":"files","colour":"red"}', ['body.colour']],
    ['{"method":"both"}', ['body.method']],
    ['{"force":"yes","method":3}', ['body.force', 'body.method']],
    ['[]', ['body']],
    ['null', ['body']],
    ['"{}"', ['body']],
    ['{"method":', ['body']],
    ['{"__proto__":{"force":true}}', ['body.__proto__']],
  ])('a start with the body %s is 400 and names what is wrong', async (body, paths) => {
    const before = await storedRows()

    const answer = await start(body)

    expect(problemOf(answer)).toEqual(problem(400, 'invalid-request'))
    expect(answer.body.errors.map((error: { path: string }) => error.path).sort()).toEqual(paths)
    expect(await storedRows()).toEqual(before)
  })

  test('a start in another content type, without a length, or of more than 256 KiB is rejected and starts nothing', async () => {
    const before = await storedRows()
    const host = new URL(stack.host.url).host
    const chunked = [
      `POST /api/av-health/exports HTTP/1.1`,
      `Host: ${host}`,
      `x-functions-key: ${stack.keys.function}`,
      'Content-Type: application/json',
      'Transfer-Encoding: chunked',
      'Connection: close',
      '',
      'e',
      '{"force":true}',
      '0',
      '',
      '',
    ].join('\r\n')

    const text = await start('{}', { 'content-type': 'text/plain' })
    const form = await start('force=true', { 'content-type': 'application/x-www-form-urlencoded' })
    const large = await start(`{"method":"${'x'.repeat(256 * 1024)}"}`)
    const unknownLength = await sendRaw(stack.host.url, chunked)

    expect(problemOf(text)).toEqual(problem(415, 'unsupported-media-type'))
    expect(problemOf(form)).toEqual(problem(415, 'unsupported-media-type'))
    expect(problemOf(large)).toEqual(problem(413, 'body-too-large'))
    expect(unknownLength).toMatch(/^HTTP\/1\.1 411 /)
    expect(unknownLength).toContain('urn:defender-relay:length-required')
    expect(await storedRows()).toEqual(before)
  })

  test('hostile paths answer 4xx, never a server error, and reach no data', async () => {
    const before = await storedRows()
    const long = 'a'.repeat(10_000)
    const hostile = [
      '..%2f..%2fadmin%2fhost%2fstatus',
      '%2e%2e/%2e%2e/admin/host/status',
      '..',
      '%00',
      'abc%00def',
      '%',
      '%zz',
      '%25',
      '%ff%fe',
      "'",
      "x'%20or%20'1'%20eq%20'1",
      '%F0%9F%92%A3',
      'e%CC%81',
      '%E2%80%AE',
      'run|x',
      'a;b',
      '{runId}',
      long,
      long.slice(0, 200),
    ]
    const targets = hostile.flatMap((text) => [
      `/api/av-health/exports/${text}`,
      `/api/av-health/exports/${text}/wait`,
      `/api/devices/${text}`,
      `/api/continue?ticket=${text}`,
      `/api/av-health/exports?after=${text}`,
      `/api/av-health/snapshots?limit=${text}`,
    ])

    const statuses: string[] = []
    for (const target of targets) {
      const key = `${target.includes('?') ? '&' : '?'}code=${stack.keys.function}`
      const answer = await getRaw(stack.host.url, `${target}${key}`)
      statuses.push(`${answer.slice(9, 12)} ${target.slice(0, 80)}`)
    }

    const known = ['200 /api/av-health/exports/..', '200 /api/av-health/exports/../wait']
    expect(statuses.filter((line) => !/^4\d\d /.test(line) && !known.includes(line))).toEqual([])
    expect(await storedRows()).toEqual(before)
    expect(stack.lines.filter((line) => /unhandled|error:/i.test(line))).toEqual([])
  })
})

describe('lists', () => {
  let runIds: string[]
  beforeAll(async () => {
    for (let n = 0; n < 3; n++) {
      const { body } = await stack.post('av-health/exports', { force: n === 2 })
      await stack.runToEnd(body.runId)
    }
    runIds = (await stack.get('av-health/exports')).body.runs.map(
      (one: { runId: string }) => one.runId,
    )
  })

  /** Follows the Link headers to the end of a list. */
  async function follow(path: string, name: string) {
    const pages: unknown[][] = []
    let links = 0
    for (let next: string | undefined = path; next; ) {
      const answer = await stack.request(
        'GET',
        next.startsWith('/') ? `${stack.host.url}${next}` : next,
      )
      pages.push(answer.body[name])
      const link: string | undefined = /^<(.+)>; rel="next"$/.exec(
        answer.headers.get('link') ?? '',
      )?.[1]
      expect(new URL(link ?? '', stack.host.url).searchParams.get('after')).toBe(answer.body.next)
      next = link
      links += 1
      if (links > 20) throw new Error('the list does not end')
    }
    return pages
  }

  test('of runs come newest first, page by page, each run once', async () => {
    const pages = await follow('av-health/exports?limit=3', 'runs')

    expect(pages.map((page) => page.length)).toEqual([3, 1])
    expect(pages.flat().map((one) => (one as { runId: string }).runId)).toEqual(runIds)
    expect(runIds).toEqual(runIds.toSorted().reverse())
  })

  test('of snapshots hold only published runs', async () => {
    const pages = await follow('av-health/snapshots?limit=1', 'snapshots')

    const found = pages.flat() as { runId: string; current: boolean }[]
    expect(found.map(({ runId, current }) => [runId, current])).toEqual([
      [runIds[0], true],
      [run.runId, false],
    ])
  })

  test('of the files of a run come by number, each file once', async () => {
    const pages = await follow(`av-health/exports/${run.runId}?limit=2`, 'files')

    const numbers = (pages.flat() as { number: number }[]).map(({ number }) => number)
    expect(numbers).toEqual(Array.from({ length: run.counts.listed }, (_, index) => index + 1))
  })
})

describe('a Location', () => {
  const start = async () => stack.post('av-health/exports', { force: true })

  test('of a start and of a wait is absolute, holds a ticket, and works without key and headers', async () => {
    const started = await start()
    const waited = await stack.get(`av-health/exports/${started.body.runId}/wait`)
    const locations = [started, waited].map(({ headers }) => headers.get('location') ?? '')

    const early = await Promise.all(
      locations.map((location) => getRaw(stack.host.url, location.replace(/^\w+:\/\/[^/]+/, ''))),
    )
    await stack.runToEnd(started.body.runId)
    const late = await Promise.all(
      locations.map((location) => getRaw(stack.host.url, location.replace(/^\w+:\/\/[^/]+/, ''))),
    )

    expect([started.status, waited.status]).toEqual([202, 202])
    for (const location of locations)
      expect(location).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/api\/continue\?ticket=[\w-]{43}$/)
    expect(new Set(locations).size).toBe(2)
    expect(started.headers.get('retry-after')).toBe('10')
    expect(early.map((answer) => answer.slice(9, 12))).toEqual(['202', '202'])
    expect(late.map((answer) => answer.slice(9, 12))).toEqual(['200', '200'])
    for (const answer of late) expect(answer).toContain(`"runId":"${started.body.runId}"`)
  })

  test('answers 202 with itself as Location until the run has ended, then 200, also for a failed run', async () => {
    stack.simulator.setFaults({ badGzip: 1 })
    const started = await start()
    const location = started.headers.get('location') ?? ''

    const early = await fetch(location)
    await stack.runToEnd(started.body.runId)
    stack.simulator.setFaults({ badGzip: 0 })
    const late = await fetch(location)
    const waited = await stack.get(`av-health/exports/${started.body.runId}/wait`)

    expect(early.status).toBe(202)
    expect(early.headers.get('location')).toBe(location)
    expect(early.headers.get('retry-after')).toBe('10')
    expect(await early.json()).toMatchObject({ runId: started.body.runId })
    expect(late.status).toBe(200)
    expect(await late.json()).toMatchObject({ state: 'failed', counts: { failed: 1 } })
    expect(waited).toMatchObject({ status: 200, body: { state: 'failed' } })
  })

  test('that is guessed or altered answers 404', async () => {
    const { headers, body } = await start()
    await stack.runToEnd(body.runId)
    const location = headers.get('location') ?? ''
    const altered = location.slice(0, -1) + (location.endsWith('A') ? 'B' : 'A')
    const wrong = [
      altered,
      location.slice(0, -1),
      `${location}A`,
      location.replace(/[\w-]{43}$/, 'A'.repeat(43)),
    ]

    const answers = await Promise.all(wrong.map((url) => stack.request('GET', url)))

    expect(answers.map(problemOf)).toEqual(wrong.map(() => problem(404, 'ticket-not-found')))
    expect((await stack.get(location)).status).toBe(200)
  })

  test('expires two days after it was issued, and opens only its own run', async () => {
    const { headers, body } = await start()
    await stack.runToEnd(body.runId)
    const location = headers.get('location') ?? ''

    stack.clock.advance(2 * DAY_MS - 120_000)
    const within = await stack.get(location)
    stack.clock.advance(240_000)
    const after = await stack.get(location)

    expect(within.body.runId).toBe(body.runId)
    expect(problemOf(after)).toEqual(problem(404, 'ticket-not-found'))
  })

  test('begins with the public address when one is set', async () => {
    stack.configure({ PUBLIC_BASE_URL: 'https://relay.example.net/' })

    const { headers, body } = await start()
    const early = await stack.get(`av-health/exports/${body.runId}/wait`)
    await stack.runToEnd(body.runId)
    stack.configure()

    expect(headers.get('location')).toMatch(
      /^https:\/\/relay\.example\.net\/api\/continue\?ticket=[\w-]{43}$/,
    )
    expect(early.headers.get('location')).toMatch(
      /^https:\/\/relay\.example\.net\/api\/continue\?ticket=[\w-]{43}$/,
    )
  })
})

describe('a device', () => {
  const first = () => [...stack.fleet.truth('files')][0]?.machineId ?? ''

  test('is found by its id in any case, with its snapshot', async () => {
    const id = first()

    const [lower, upper] = await Promise.all([
      stack.get(`devices/${id}`),
      stack.get(`devices/${id.toUpperCase()}?code=${stack.keys.function}`),
    ])

    expect(lower.status).toBe(200)
    expect(lower.body.avHealth.device.machineId).toBe(id)
    expect(upper.body).toEqual(lower.body)
    const { body } = await stack.get('av-health/snapshots?limit=1')
    expect(lower.body.avHealth.snapshot).toMatchObject({ runId: body.snapshots[0].runId })
  })

  test('that is not in the snapshot has another answer than a missing snapshot', async () => {
    const answer = await stack.get(`devices/${'f'.repeat(39)}0`)

    expect(problemOf(answer)).toEqual(problem(404, 'device-not-found'))
    expect(answer.body.detail).toContain('No snapshot')
  })

  test('is found after the number of buckets has changed', async () => {
    stack.configure({ AV_HEALTH_BUCKETS: '256' })

    const answers = await Promise.all(
      [...stack.fleet.truth('files')]
        .slice(0, 20)
        .map(({ machineId }) => stack.get(`devices/${machineId}`)),
    )
    stack.configure()

    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200))
  })
})
