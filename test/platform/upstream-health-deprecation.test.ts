import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createHttp } from '../../shared/platform/http.ts'
import type { Table } from '../../shared/platform/table.ts'
import { createDeprecationMonitor } from '../../shared/platform/upstream-health.ts'
import { createMemoryTable } from '../memory-table.ts'
import { createStillClock, type StillClock } from './still-clock.ts'

let clock: StillClock
let table: Table
let headers: Record<string, string> = {}
let status = 200
const server = createServer((_request, response) => response.writeHead(status, headers).end('{}'))

beforeEach(async () => {
  clock = createStillClock()
  table = createMemoryTable('Budgets')
  await table.create()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
})
afterEach(async () => {
  server.closeAllConnections()
  server.close()
  await once(server, 'close')
})

const open = () => createDeprecationMonitor(table, 'defender', clock)

/** One call to a monitored upstream. */
async function ask(
  answer: { status?: number; headers?: Record<string, string> },
  monitor = open(),
) {
  headers = answer.headers ?? {}
  status = answer.status ?? 200
  const http = createHttp({
    upstream: 'defender',
    clock,
    userAgent: 'test',
    attempts: 1,
    onAnswer: monitor.observe,
  })
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/api/list`)
  return http.json({ method: 'GET', url, name: 'GET /api/list', isAllowed: () => true })
}

test('an upstream that announces nothing is not reported', async () => {
  await ask({})

  expect(await open().report()).toBeUndefined()
})

test.each<[string, Record<string, string>, string | null]>([
  ['a day', { sunset: 'Mon, 01 Feb 2027 00:00:00 GMT' }, '2027-02-01T00:00:00.000Z'],
  ['that it is deprecated since a day', { deprecation: '@1688169599' }, null],
  [
    'both',
    { deprecation: 'true', sunset: 'Mon, 01 Feb 2027 00:00:00 GMT' },
    '2027-02-01T00:00:00.000Z',
  ],
  ['something that is no day', { sunset: 'soon <script>' }, null],
])('an answer with %s is recorded for every instance', async (_what, said, endsAt) => {
  await ask({ headers: said })

  expect(await open().report()).toEqual({ call: 'GET /api/list', endsAt })
})

test('a failed answer can announce too, and still fails', async () => {
  await expect(ask({ status: 403, headers: { deprecation: 'true' } })).rejects.toThrow('403')

  expect(await open().report()).toEqual({ call: 'GET /api/list', endsAt: null })
})

test('an announcement that is not repeated ends after a day', async () => {
  await ask({ headers: { deprecation: 'true' } })
  await clock.advance(24 * 3_600_000)

  expect(await open().report()).toBeUndefined()
})

test('a table that does not answer loses the announcement, not the answer', async () => {
  const transact = () => Promise.reject(new Error('no table'))
  const monitor = createDeprecationMonitor({ ...table, transact }, 'defender', clock)

  const { body } = await ask({ headers: { deprecation: 'true' } }, monitor)

  expect(body).toEqual({})
})
