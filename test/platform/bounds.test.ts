import { createServer, type RequestListener, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import azure from '@azure/functions'
import { afterEach, expect, onTestFinished, test, vi } from 'vitest'
import { machineActions } from '../../shared/changes/resources/machine-actions.ts'
import { postEvent } from '../../shared/events/delivery/post.ts'
import { createTables } from '../../shared/platform/azure-table.ts'
import { type Bounds, bounds, MAX_DEPTH, MAX_OBJECTS } from '../../shared/platform/body.ts'
import { createTokenSource } from '../../shared/platform/credential.ts'
import { RequestError, ShapeError, UpstreamError } from '../../shared/platform/errors.ts'
import { createHttp } from '../../shared/platform/http.ts'
import { readBody } from '../../shared/platform/request.ts'
import { createDefender, createDefenderProbe } from '../../shared/upstreams/defender.ts'
import { createDefenderScans } from '../../shared/upstreams/defender-scans.ts'
import { createExportFiles } from '../../shared/upstreams/export-file.ts'
import { createTenable } from '../../shared/upstreams/tenable.ts'
import { secretsFor, someEvent, tokensFor } from '../events/world.ts'
import { limitByClock } from '../limits.ts'
import { createStillClock } from './still-clock.ts'

type Kind = keyof typeof bounds
type Bound = keyof Bounds

const clock = { now: () => new Date(), sleep: async () => {} }

/** The clients of an upstream on loopback. */
async function clientsOf(answer: RequestListener) {
  // A slow machine may parse a page for longer than a server keeps its connection open.
  const server = createServer({ keepAliveTimeout: 0 }, (request, response) => {
    request.resume()
    response.setHeader('content-type', 'application/json')
    answer(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const baseUrl = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  const http = createHttp({ upstream: 'any', clock, userAgent: 'test', attempts: 1 })
  const budget = { acquire: async () => {}, stop: async () => {} } as never
  const options = { http, token: async () => 'token', budget, baseUrl }
  const keys = { accessKey: 'a'.repeat(64), secretKey: 'b'.repeat(64) }
  return { ...options, keys }
}

type Clients = Awaited<ReturnType<typeof clientsOf>>
const drain = (pages: AsyncIterable<unknown>) => Array.fromAsync(pages)
const value = (rows: string) => `{"value":[${rows}]}`

/** One call of every kind that goes over HTTP, and an answer to it that holds these rows. */
const calls: Partial<
  Record<Kind, [call: (clients: Clients) => Promise<unknown>, answer: (rows: string) => string]>
> = {
  defenderList: [(all) => drain(createDefender(all).items(machineActions, 'a eq 1')), value],
  defenderItem: [(all) => createDefender(all).item(machineActions, '1'), () => '{}'],
  deviceAvInfo: [(all) => drain(createDefender(all).deviceAvInfoPages()), value],
  exportList: [
    (all) => createDefender(all).listExportFiles(1),
    (rows) => `{"exportFiles":[${rows.replaceAll('{}', '""')}]}`,
  ],
  scans: [
    // Both sources, and every list of theirs.
    async (all) => {
      const [defender, tenable] = [createDefenderScans(all), createTenable(all)]
      const outcomes = await Promise.allSettled([
        defender.historyOfSessions(['1']),
        defender.definitions(),
        tenable.details('1'),
        tenable.history('1', { limit: 1, offset: 0 }),
      ])
      const reasons = outcomes.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []))
      // One alone is not enough.
      if (reasons.length === outcomes.length) throw reasons[0]
      if (reasons.length > 0) throw new Error(`only some fail: ${reasons}`)
    },
    (rows) => `{"value":[${rows}],"hosts":[${rows}],"history":[${rows}]}`,
  ],
  probe: [(all) => createDefenderProbe(all)(machineActions), () => '{}'],
  exportFile: [
    async ({ http, baseUrl }) => {
      // The real limit is 8 GiB.
      const limits = { ...bounds.exportFile, maxBytes: 10_000_000 }
      const files = createExportFiles({ http, isAllowedLink: () => true, limits })
      const opened = await files.open(baseUrl.href)
      if (opened.kind === 'open') await drain(opened.body)
    },
    () => '{}',
  ],
  other: [
    ({ http, baseUrl: url }) =>
      http.text({ method: 'GET', url, name: 'GET any', isAllowed: () => true }),
    () => '{}',
  ],
  callback: [
    async ({ http, baseUrl }) => {
      const callbackPolicy = {
        allowLoopback: true,
        resolve: async () => [{ address: '127.0.0.1', family: 4 as const }],
      }
      const subscription = { contentType: 'application/json' as const, urlDigest: 'd' }
      const own = secretsFor(subscription, baseUrl.href)
      const event = { ...someEvent(), id: 'e', sequence: '1' } as never
      const outcome = await postEvent(
        { http, callbackPolicy, clock, tokens: tokensFor() },
        subscription,
        own,
        event,
      )
      if (outcome.kind === 'failed') throw new Error(outcome.reason)
    },
    () => '{}',
  ],
  token: [
    async ({ baseUrl }) => {
      const getToken = () => fetch(baseUrl) as never
      await createTokenSource({ credential: { getToken }, scope: 's', clock })()
    },
    () => '{}',
  ],
  storage: [
    async ({ baseUrl }) => {
      const account = 'DefaultEndpointsProtocol=http;AccountName=account;AccountKey=a2V5'
      const connectionString = `${account};TableEndpoint=${baseUrl.href}account`
      await createTables({ connectionString })('Things').get('p', 'r')
    },
    () => '{}',
  ],
}

const callOf = (kind: Kind) => calls[kind] ?? expect.fail(`there is no call of ${kind}`)

/** What became of a call: `read`, or a word or class for why it failed. */
async function outcomeOf(call: Promise<unknown>): Promise<string> {
  try {
    await call
    return 'read'
  } catch (error) {
    if (error instanceof UpstreamError) return error.facts.reason
    if (error instanceof RequestError) return error.facts.problem
    // It names the call.
    if (error instanceof ShapeError)
      return /^\w+: (?:GET|POST) \/.*: /.test(error.message) ? 'shape' : '?'
    return /timeout|gave no answer/.exec(String(error))?.[0] ?? String(error)
  }
}

const blanks = Buffer.alloc(1024 * 1024, ' ')

/** An answer that blanks make as long as this. */
const padded = (text: string, length: number) => (response: ServerResponse) => {
  response.write(text)
  for (let left = length - text.length; left > 0; left -= blanks.length)
    response.write(blanks.subarray(0, left))
  response.end()
}

/** Each walk makes a call of a kind with an input at the limit, and one above it. */
const walks: Record<Bound, (kind: Kind, limit: number) => Promise<[at: string, above: string]>> = {
  async timeoutMs(kind, limit) {
    const still = holdLimits()
    const asked = Promise.withResolvers<void>()
    const { isOver, outcome } = watch(callOf(kind)[0](await clientsOf(() => asked.resolve())))
    await Promise.race([asked.promise, outcome])
    // The last millisecond is the limit.
    await still.advance(limit - 1)
    const at = isOver() ? 'over' : 'read'
    await still.advance(1)
    return [at, await outcome]
  },

  async maxBytes(kind, limit) {
    if (kind === 'request') return [await bodyOf(limit), await bodyOf(limit + 1)]
    if (kind === 'callback')
      return [await isDrained(limit, 200), await isDrained(limit + 1, 60_000)]
    const [call, answer] = callOf(kind)
    const most = kind === 'exportFile' ? 10_000_000 : limit
    const read = async (length: number) => {
      const send = padded(answer(''), length)
      return outcomeOf(call(await clientsOf((_, response) => send(response))))
    }
    return [await read(most), await read(most + 1)]
  },

  async maxRows(kind, limit) {
    const [call, answer] = callOf(kind)
    const read = async (count: number) => {
      let page = 0
      // A list of pages ends with one that has only the last row again.
      const rows = Array.from({ length: count }, (_, n) =>
        kind === 'defenderList' ? `{"id":"${n}"}` : '{}',
      )
      const clients = await clientsOf((_, response) =>
        response.end(
          answer((kind === 'defenderList' && page++ > 0 ? rows.slice(-1) : rows).join()),
        ),
      )
      return outcomeOf(call(clients))
    }
    return [await read(limit), await read(limit + 1)]
  },

  async maxPages(kind, limit) {
    const read = (count: number) => pagesOf(kind, Array<number>(count).fill(0))
    return [await read(limit), await read(limit + 1)]
  },

  async maxListLength(kind, limit) {
    const { maxBytes = 0 }: Bounds = bounds[kind]
    const full = Array<number>(limit / maxBytes - 1).fill(maxBytes)
    return [
      await pagesOf(kind, [...full, maxBytes - 100, 100]),
      await pagesOf(kind, [...full, maxBytes - 100, 101]),
    ]
  },
}

/** Reads a list of pages that are so long. */
async function pagesOf(kind: Kind, lengths: number[]) {
  let page = 0
  const clients = await clientsOf((_, response) => {
    const filter = kind === 'defenderList' ? '&$filter=a%20eq%201' : ''
    const link = page + 1 < lengths.length ? `/next?page=${page + 1}${filter}` : null
    const text = JSON.stringify({ value: [{ page }], '@odata.nextLink': link })
    padded(text, lengths[page++] ?? 0)(response)
  })
  return outcomeOf(callOf(kind)[0](clients))
}

function bodyOf(length: number) {
  const text = JSON.stringify('x'.repeat(length - 2))
  const headers = { 'content-type': 'application/json', 'content-length': String(length) }
  const request = { method: 'POST', url: 'http://localhost/', headers, body: { string: text } }
  return outcomeOf(readBody(new azure.HttpRequest(request)))
}

/** Whether a receiver's answer that has not ended after so many bytes is read on, for at least `ms`. */
async function isDrained(length: number, ms: number) {
  holdLimits()
  const clients = await clientsOf((_, response) => void response.write(blanks.subarray(0, length)))
  const { outcome } = watch(callOf('callback')[0](clients))
  const later = new Promise((resolve) => setTimeout(() => resolve('read'), ms))
  return (await Promise.race([outcome.then(() => 'not read'), later])) as string
}

/** Lets time limits end by a clock that stands still. */
function holdLimits() {
  const still = createStillClock()
  limitByClock(still)
  return still
}

function watch(call: Promise<unknown>) {
  let isOver = false
  const outcome = outcomeOf(call).finally(() => {
    isOver = true
  })
  return { outcome, isOver: () => isOver }
}

const refusals: Record<Bound, string[]> = {
  timeoutMs: ['timeout', 'gave no answer'],
  maxBytes: ['too-large', 'body-too-large', 'not read'],
  maxRows: ['shape'],
  maxPages: ['shape'],
  maxListLength: ['shape'],
}

const table = Object.entries(bounds).flatMap(([kind, row]) =>
  Object.entries(row).map(([bound, limit]) => [kind as Kind, bound as Bound, limit] as const),
)

afterEach(() => {
  vi.restoreAllMocks()
})

test.each(table)(
  '%s: what is at %s of %i is read, and what is above it is not',
  async (kind, bound, limit) => {
    const [at, above] = await walks[bound](kind, limit)

    expect(at).toBe('read')
    expect(refusals[bound]).toContain(above)
  },
)

const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`
const answering = (text: string) => clientsOf((_, response) => response.end(text))

test('a row that is nested too deeply is unreadable, and the rows beside it are read', async () => {
  const deep = (depth: number) => `{"deep":${nested(depth)}}`
  const rows = [deep(MAX_DEPTH - 3), deep(MAX_DEPTH - 2), deep(20_000), '{"id":"a"}']
  const clients = await answering(value(rows.join()))

  const [page] = await drain(createDefender(clients).items(machineActions, 'a'))

  expect(page).toMatchObject({ rows: [{ deep: expect.anything() }, null, null, { id: 'a' }] })
})

test.each([
  [MAX_DEPTH - 2, expect.anything()],
  [MAX_DEPTH - 1, null],
  [20_000, null],
])('an item that is nested %i deep by itself is read or unreadable', async (depth, item) => {
  const clients = await answering(`{"a":{"b":${nested(depth)}}}`)

  expect(await createDefender(clients).item(machineActions, '1')).toEqual(item)
})

test('a small body of millions of empty objects is refused before it is parsed', async () => {
  const probe = async (objects: number) => {
    const clients = await answering(value(Array(objects).fill('[]').join()))
    return createDefenderProbe(clients)(machineActions).then(() => 'read', String)
  }

  expect(await probe(MAX_OBJECTS - 2)).toBe('read')
  expect(await probe(MAX_OBJECTS - 1)).toContain(`an answer of more than ${MAX_OBJECTS} objects`)
})
