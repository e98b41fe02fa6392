import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { exportOnce, type OnceOptions, type Run, type Standing } from '../../local/app-client.ts'

/** A run as the API answers it. */
const run = (runId: string, state: Run['state'], parsed = 0): Run => ({
  runId,
  kind: 'av-health',
  method: 'files',
  state,
  reason: null,
  generatedTime: null,
  startedAt: 'then',
  progressAt: 'then',
  endedAt: null,
  epoch: 1,
  notReadyAtFirst: 0,
  linksRenewed: 0,
  unknownFields: {},
  unreadable: {},
  unreadableRows: 0,
  guard: null,
  devicesBefore: null,
  waiting: null,
  snapshot: null,
  changes: null,
  counts: {
    listed: 1,
    imported: 1,
    failed: 0,
    parsed,
    written: parsed,
    duplicates: 0,
    rejected: 0,
  },
  files: [],
  skippedRows: [],
  next: null,
})

/** A host that gives these answers in order, each to `METHOD path`. */
async function scripted(answers: [request: string, status: number, body: unknown][]) {
  const asked: string[] = []
  const server = createServer((request, response) => {
    const [expected, status, body] = answers.shift() ?? ['nothing', 500, {}]
    const request_ = `${request.method} ${request.url?.replace(/^\/api\/av-health\/|\?.*$/g, '')}`
    asked.push(request_)
    response.writeHead(
      request_ === expected && request.headers['x-functions-key'] === 'k' ? status : 500,
    )
    response.end(JSON.stringify(body))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const seen: Standing[] = []
  const resumed: number[] = []
  const options: OnceOptions = {
    url,
    key: 'k',
    signal: new AbortController().signal,
    quietMs: 100,
    onProgress: (one) => seen.push(one),
    resume: async () => void resumed.push(seen.length),
  }
  return { left: answers, seen, resumed, ask: () => exportOnce(options) }
}

const started = (runId: string, joined: boolean) => ({ runId, state: 'starting', joined })
const snapshots = {
  snapshots: [
    { current: false, devices: 1 },
    { current: true, devices: 77 },
  ],
  next: null,
}

test('rows that an earlier process has read do not count in the rate', async () => {
  const { ask, seen, left } = await scripted([
    ['GET exports', 200, { runs: [run('a', 'importing')] }],
    ['GET exports/a', 200, run('a', 'importing', 5000)],
    ['GET exports/a', 200, run('a', 'published', 5000)],
    ['GET snapshots', 200, snapshots],
  ])

  const report = await ask()

  expect(report).toMatchObject({
    ok: true,
    runId: 'a',
    devices: 77,
    rowsPerSecond: 0,
    counts: { parsed: 5000 },
  })
  expect(seen.map(({ run: { state } }) => state)).toEqual(['importing', 'published'])
  expect(left).toEqual([])
})

test('an older run that is published on request is finished first, since no start joins it', async () => {
  const { ask, left } = await scripted([
    ['GET exports', 200, { runs: [run('newer', 'unchanged'), run('a', 'comparing')] }],
    ['GET exports/a', 200, run('a', 'published')],
    ['GET snapshots', 200, snapshots],
  ])

  expect(await ask()).toMatchObject({ ok: true, runId: 'a' })
  expect(left).toEqual([])
})

test('a run without progress is resumed, a run with progress is not', async () => {
  const { ask, resumed } = await scripted([
    ['GET exports', 200, { runs: [run('a', 'importing')] }],
    ['GET exports/a', 200, run('a', 'listing')],
    ['GET exports/a', 200, run('a', 'importing')],
    ['GET exports/a', 200, run('a', 'importing')],
    ['GET exports/a', 200, run('a', 'published')],
    ['GET snapshots', 200, snapshots],
  ])

  await ask()

  // After the third poll, the first with the same state as the poll before.
  expect(resumed).toEqual([3])
})

test('a run that says what it waits for is not resumed', async () => {
  const waiting = { ...run('a', 'listing'), waiting: { for: 'a list of files', until: 'then' } }
  const { ask, resumed } = await scripted([
    ['GET exports', 200, { runs: [run('a', 'listing')] }],
    ['GET exports/a', 200, waiting],
    ['GET exports/a', 200, waiting],
    ['GET exports/a', 200, waiting],
    ['GET exports/a', 200, run('a', 'published')],
    ['GET snapshots', 200, snapshots],
  ])

  await ask()

  expect(resumed).toEqual([])
})

test('an unfinished run that then fails is followed by a new one, once', async () => {
  const { ask, left } = await scripted([
    ['GET exports', 200, { runs: [run('old', 'listing')] }],
    ['GET exports/old', 200, run('old', 'failed')],
    ['POST exports', 202, started('new', true)],
    ['GET exports/new', 200, run('new', 'failed')],
    ['GET snapshots', 200, { snapshots: [], next: null }],
  ])

  const report = await ask()

  expect(report).toMatchObject({ ok: false, runId: 'new', state: 'failed', devices: 0 })
  expect(left).toEqual([])
})

test('a failed run that this process has started is the answer', async () => {
  const { ask } = await scripted([
    ['GET exports', 200, { runs: [run('z', 'failed')] }],
    ['POST exports', 202, started('a', false)],
    ['GET exports/a', 200, run('a', 'empty')],
    ['GET snapshots', 200, snapshots],
  ])

  expect(await ask()).toMatchObject({ ok: false, state: 'empty' })
})

test('an unsuccessful answer is reported with its text', async () => {
  const { ask } = await scripted([
    ['GET exports', 200, { runs: [] }],
    ['POST exports', 503, { title: 'Not set up' }],
  ])

  await expect(ask()).rejects.toThrow(
    'POST /api/av-health/exports answered 503: {"title":"Not set up"}',
  )
})
