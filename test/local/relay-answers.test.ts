import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterEach, describe, expect, test } from 'vitest'
import { typeRelay } from './relay-typed.ts'

const key = 'key-of-the-operator'
const stops: (() => void)[] = []
afterEach(() => {
  for (const stop of stops.splice(0)) stop()
})

/** An app with the answers of a test, and every request that it received. */
async function startApp(answer: RequestListener) {
  const asked: { url: string; key: string | undefined }[] = []
  const server = createServer((request, response) => {
    asked.push({
      url: request.url ?? '',
      key: request.headers['x-functions-key'] as string | undefined,
    })
    answer(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  stops.push(() => server.close())
  const { port } = server.address() as AddressInfo
  const origin = `http://127.0.0.1:${port}`
  const relay = (line: string) => typeRelay([...line.split(' '), '--url', origin, '--key', key])
  return { origin, port, asked, relay }
}

const json =
  (body: unknown, status = 200, headers: Record<string, string> = {}): RequestListener =>
  (_request, response) =>
    response
      .writeHead(status, { 'content-type': 'application/json', ...headers })
      .end(JSON.stringify(body))

test('an app that does not answer is reported in one sentence', async () => {
  const { code, out, err } = await typeRelay([
    'status',
    '--url',
    'http://127.0.0.1:9',
    '--key',
    key,
  ])

  expect({ code, out }).toEqual({ code: 1, out: '' })
  expect(err).toMatch(
    /^http:\/\/127\.0\.0\.1:9 does not answer \(.+\): is the app running, and is this its address\?\n$/,
  )
})

describe('an unknown answer is reported in one sentence', () => {
  test.each<[what: string, answer: RequestListener, message: string]>([
    [
      'a page of another app',
      (_request, response) =>
        response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>Welcome</h1>'),
      'answered 200 with text/html: it is not defender-relay, or a version without this route.',
    ],
    [
      'a sign-in page elsewhere',
      (_request, response) =>
        response.writeHead(302, { location: 'https://login.contoso.example/' }).end(),
      'answered 302 with a redirect: it is not defender-relay, or a version without this route.',
    ],
    [
      'an older app without the route',
      (_request, response) => response.writeHead(404).end(),
      'answered 404 with an empty body: it is not defender-relay, or a version without this route.',
    ],
    ['JSON of another app', json({ hello: 'there' }), 'The answer has no runs.'],
  ])('%s', async (_what, answer, message) => {
    const { relay } = await startApp(answer)

    const { code, out, err } = await relay('export list')

    expect({ code, out }).toEqual({ code: 1, out: '' })
    expect(err).toMatch(new RegExp(`^[^\\n]*${message}\\n$`))
  })
})

describe('a fault of the request is printed once, by what was typed', () => {
  test.each([
    ['events list --since yesterday', 'query.since', '--since'],
    ['events list --machine x', 'query.machineId', '--machine'],
    ['events list --limit 3', 'query.limit', '--limit'],
    ['items list nonsense', 'path.resource', '<resource>'],
    ['items show machine-actions a*b', 'path.id', '<id>'],
    ['items wait machine-actions a --minutes 0', 'query.timeoutMinutes', '--minutes'],
    ['subscriptions show x', 'path.id', '<subscription>'],
    ['subscriptions create u', 'body.callbackUrl', '<callbackUrl>'],
    ['subscriptions create u --filter {"states":[1]}', 'body.filter.states.0', '--filter states 0'],
    ['subscriptions create u --content-type x', 'body.contentType', '--content-type'],
    ['export start --method x', 'body.method', '--method'],
    ['events list', 'header.host', 'header.host'],
  ])('%s', async (line, path, name) => {
    const problem = {
      title: 'The request is not valid',
      detail: `${path} is wrong`,
      fix: 'Correct what `errors` names, then send the request again.',
      errors: [{ path, message: 'is wrong' }],
    }
    const app = await startApp(json(problem, 400))

    const { code, err } = await app.relay(line)

    expect([code, err]).toEqual([1, `The request is not valid\n${name} is wrong\n`])
  })
})

test.each([
  [
    'subscriptions create https://x.contoso.net --kind machine-action --expires-at 2027-01-01T00:00:00Z',
    'POST /api/subscriptions',
    {
      kind: 'machine-action',
      expiresAt: '2027-01-01T00:00:00Z',
      callbackUrl: 'https://x.contoso.net',
    },
  ],
  [
    'subscriptions change sub_1 --headers [{"name":"x-key","value":"v"}] --filter {}',
    'PATCH /api/subscriptions/sub_1',
    { headers: [{ name: 'x-key', value: 'v' }], filter: {} },
  ],
  [
    'subscriptions change sub_1 --callback-url u',
    'PATCH /api/subscriptions/sub_1',
    { callbackUrl: 'u' },
  ],
  ['events list --kind subscription', 'GET /api/events?kind=subscription&limit=100', undefined],
  [
    'items wait machine-actions a --fail-on Failed,TimeOut',
    'GET /api/changes/machine-actions/items/a/wait?failOn=Failed%2CTimeOut',
    undefined,
  ],
])('%s is %s', async (line, call, body) => {
  const sent: unknown[] = []
  const app = await startApp(async (request, response) => {
    sent.push(`${request.method} ${request.url}`, await text(request))
    json({ events: [], next: 'n', more: false, outcome: 'terminal' })(request, response)
  })

  const { code } = await app.relay(line)

  expect(code).toBe(0)
  expect(sent).toEqual([call, body === undefined ? '' : expect.any(String)])
  if (body) expect(JSON.parse(String(sent[1]))).toEqual(body)
})

test('what to do is said as a command where there is one', async () => {
  const whatToDo = async (fix: string) => {
    const app = await startApp(json({ title: 't', detail: 'd', fix }, 404))
    return (await app.relay('status')).err.split('\n')[2]
  }
  const said = async (call: string) => whatToDo(`Look. ${call} lists them.`)
  const command = (words: string) => `What to do: Look. npm run relay -- ${words} lists them.`

  expect(await whatToDo('This route takes ids. GET /api/devices?name=… finds names.')).toBe(
    'What to do: This route takes ids. npm run relay -- devices list --name … finds names.',
  )
  expect(await said('GET /api/changes/machine-actions/items')).toBe(
    command('items list machine-actions'),
  )
  expect(await said('GET /api/subscriptions')).toBe(command('subscriptions list'))
  expect(await said('GET /api/subscriptions/sub_1/deliveries')).toBe(
    command('deliveries list sub_1'),
  )
  expect(await said('GET /api/events?after=n')).toBe(
    'What to do: Look. GET /api/events?after=n lists them.',
  )
})

describe('the key', () => {
  test('is sent only to its origin, not to a redirect or a Location', async () => {
    const other = await startApp(json({ state: 'published' }))
    const away = await startApp((_request, response) =>
      response.writeHead(307, { location: `${other.origin}/api/status` }).end(),
    )
    const waiting = await startApp(
      json({}, 202, { location: `${other.origin}/api/continue/t1`, 'retry-after': '3' }),
    )

    await away.relay('status')
    const waited = await waiting.relay('export wait 20200101000000abcd')

    expect(waited.code).toBe(0)
    expect(other.asked).toEqual([{ url: '/api/continue/t1', key: undefined }])
    expect([away.asked, waiting.asked].flat().map((one) => one.key)).toEqual([key, key])
  })

  test('is not shown, for any answer of an app', async () => {
    const echo = { title: `Wrong ${key}`, detail: `You sent ${key}`, fix: key }
    const refusing = await startApp(json(echo, 400))
    const app = await startApp(json({ overall: key }))

    const answers = [
      await refusing.relay('status'),
      await refusing.relay('status --json'),
      await app.relay('status'),
    ]

    expect(answers.map(({ code }) => code)).toEqual([1, 1, 0])
    for (const { out, err } of answers) expect(out + err).not.toContain(key)
    expect(answers[2]?.out).toContain('***')
  })

  test('is not sent over plain http, and a Location with plain http is not followed', async () => {
    const waiting = await startApp(
      json({}, 202, { location: 'http://relay.contoso.example/api/continue/t1' }),
    )

    const clear = await typeRelay(['status', '--url', 'http://relay.contoso.example', '--key', key])
    const waited = await waiting.relay('check machine-actions')

    expect(clear).toMatchObject({
      code: 2,
      err: expect.stringContaining('http only for this machine'),
    })
    expect(waited).toMatchObject({ code: 1, err: expect.stringContaining('not safe to call') })
  })
})

test('a wait asks again after the time in the answer, and prints each new state', async () => {
  const waiting = { for: 'a list of files', until: '2026-12-01T04:05:06Z' }
  const states = [
    { state: 'listing', waiting: null },
    { state: 'listing', waiting },
    { state: 'importing', waiting: null },
    { state: 'importing', waiting: null },
  ]
  const waits: number[] = []
  const app = await startApp((request, response) => {
    const state = states.shift()
    const location = `http://${request.headers.host}/api/continue/t1`
    if (state) json(state, 202, { location, 'retry-after': '7' })(request, response)
    else json({ state: 'failed' })(request, response)
  })

  const waited = await typeRelay(['export', 'start', '--wait', '--url', app.origin, '--key', key], {
    sleep: async (ms) => void waits.push(ms),
  })

  expect(waits).toEqual([7000, 7000, 7000, 7000])
  expect(waited).toEqual({
    code: 1,
    out: 'state  failed\n',
    err: 'listing: waiting …\nlisting: waits for a list of files, until 2026-12-01T04:05:06Z\nimporting: waiting …\n',
  })
})

test('all pages of a list are read, in the order of their cursors', async () => {
  const app = await startApp((request, response) => {
    const after = Number(URL.parse(`http://x${request.url}`)?.searchParams.get('after') ?? 0)
    json({ runs: [{ runId: `r${after}` }], next: after < 2 ? String(after + 1) : null })(
      request,
      response,
    )
  })

  const shown = await app.relay('export list --all')
  const raw = await app.relay('export list --all --json')

  expect(shown.out.match(/^r\d|^run /gm)).toEqual(['run ', 'r0', 'r1', 'r2'])
  expect(raw.out).toBe(
    '{"runs":[{"runId":"r0"}],"next":"1"}\n{"runs":[{"runId":"r1"}],"next":"2"}\n{"runs":[{"runId":"r2"}],"next":null}\n',
  )
})

test('a list that starts at a time continues with a cursor: the API takes one of the two', async () => {
  const app = await startApp((request, response) => {
    const isFirst = request.url?.includes('since=') ?? false
    json({ events: [{ detectedat: '2026-11-20T12:00:00Z' }], next: 'n', more: isFirst })(
      request,
      response,
    )
  })

  const { out } = await app.relay('events list --since 2026-11-20T11:00:00Z')

  expect(out.match(/^2026.{16}/gm)).toHaveLength(2)
  expect(app.asked.map(({ url }) => url)).toEqual([
    '/api/events?since=2026-11-20T11%3A00%3A00Z&limit=100',
    '/api/events?after=n&limit=99',
  ])
})

test('status prints problems and notices whole, at 80 columns too, and that a stream holds no events', async () => {
  const stream = { dispatched: 0, lagSeconds: 0 }
  const long = 'a sentence that goes on and on '.repeat(12).trim()
  const { origin } = await startApp(
    json({
      overall: 'degraded',
      time: '2026-11-30T12:00:00.000Z',
      sections: { changes: { state: 'degraded', problems: [] } },
      problems: [
        {
          code: 'unreachable',
          severity: 'error',
          title: 'Defender is unreachable',
          since: '2026-11-30T11:28:00.000Z',
          cause: long,
          fix: 'Check the network',
          consequences: ['No poll of investigations succeeded'],
        },
      ],
      upstreams: {},
      notices: [
        {
          severity: 'notice',
          title: 'A route ends',
          since: null,
          cause: '',
          fix: 'Update',
          consequences: [],
        },
      ],
      changes: { investigations: { openItems: 2, detectionLagSeconds: 38 } },
      events: {
        'av-health': { ...stream, head: 0, oldest: 1 },
        'machine-actions': { ...stream, head: 7, oldest: 3 },
        investigations: { ...stream, lagSeconds: 300, head: 7, oldest: 8 },
      },
    }),
  )

  const argv = ['status', '--url', origin, '--key', key]
  const { code, out } = await typeRelay(argv, { width: 80 })

  expect(code).toBe(0)
  expect(out.split('\n').filter((line) => line.length > 80)).toEqual([])
  const flat = out.replace(/\s+/g, ' ')
  expect(flat).toContain(
    `problems error: Defender is unreachable since 2026-11-30T11:28:00.000Z (32 min) cause ${long} so No poll of investigations succeeded fix Check the network notices notice: A route ends fix Update changes`,
  )
  expect(out).toMatch(/^investigations +2 +– +38 s /m)
  expect(out).toMatch(/^av-health +no events +– /m)
  expect(out).toMatch(/^machine-actions +3 +7 +0 +0 s/m)
  expect(out).toMatch(/^investigations +no events +7 +0 +5 min/m)
})

test('at 80 columns lists show device, requestor and the new state whole', async () => {
  const names = {
    computerDnsName: 'workstation-0042.emea.contoso.example',
    requestor: 'security.operations@contoso.example',
  }
  const event = {
    detectedat: '2026-11-30T11:28:00.123Z',
    type: 'defender-relay.machine-action.changed',
    subject: '0123abcd-0123-abcd-0123-abcd0123abcd',
    data: { from: 'Pending', to: 'InProgress', type: 'RestrictCodeExecution', ...names },
  }
  const item = { id: event.subject, state: 'InProgress', type: 'RestrictCodeExecution', ...names }
  const { origin } = await startApp((request, response) =>
    json(
      request.url?.includes('/events')
        ? { events: [event], next: 'n', more: false }
        : { items: [item], next: null },
    )(request, response),
  )

  for (const line of ['events list', 'items list machine-actions']) {
    const argv = [...line.split(' '), '--url', origin, '--key', key]
    const { out } = await typeRelay(argv, { width: 80 })

    const rows = out.split('\n')
    expect(rows.filter((row) => row.length > 80)).toEqual([])
    // A text may go on in the next line of its column.
    const head = rows[0] ?? ''
    const starts = [...head.matchAll(/\S+( \S+)*/g)].map(({ index }) => index)
    const cell = (name: string) => {
      const from = head.indexOf(name)
      const to = starts.find((start) => start > from)
      return rows
        .slice(1)
        .map((row) => row.slice(from, to).trim())
        .join('')
    }
    expect(cell('device')).toBe(names.computerDnsName)
    expect(cell('requestor')).toBe(names.requestor)
    expect(line.startsWith('items') ? cell('state') : cell('step')).toMatch(/InProgress$/)
  }
})
