import type { OrchestrationContext } from 'durable-functions'
import { afterEach, describe, expect, test } from 'vitest'
import { createAdjustableClock } from '../../local/clock.ts'
import { beginRun, renewLinks } from '../../shared/exports/begin.ts'
import { importFile } from '../../shared/exports/import.ts'
import { importFiles } from '../../shared/exports/run.ts'
import { resumeExports, startRun } from '../../shared/exports/start.ts'
import { reportExports, viewRun } from '../../shared/exports/view.ts'
import { UpstreamError } from '../../shared/platform/errors.ts'
import { crashAt, interceptTables } from '../intercepted-storage.ts'
import { noTimers, startTestStack, type TestStack, type TestStackOptions } from '../stack.ts'
import {
  createListeningExecutor,
  createMemoryTables,
  createSmallEngine,
  createSmallUpstream,
  finish,
  importAll,
} from './small-run.ts'

const MINUTE_MS = 60_000

async function prepare() {
  const memory = createMemoryTables()
  await memory.tables('Exports').create()
  const small = createSmallUpstream()
  const clock = createAdjustableClock()
  const engine = createSmallEngine(memory.tables, small, { clock })
  const { executor, started } = createListeningExecutor(async () => 'live')
  const { runId } = await startRun(engine, executor)
  const ref = { kind: 'av-health', runId, epoch: 1 }
  const shown = async () => {
    const run = await engine.runs.run(runId)
    if (!run) throw new Error('the run has no row')
    return { run: await viewRun(engine, run), report: await reportExports(engine, null) }
  }
  const inMs = (ms: number) => new Date(clock.now().getTime() + ms).toISOString()
  return { memory, small, clock, engine, executor, started, ref, shown, inMs }
}

const usedUp = new UpstreamError({
  upstream: 'defender',
  call: 'GET /api/machines/InfoGatheringExport',
  status: 429,
  code: 'OwnBudget',
  reason: 'refused',
  retryable: true,
  retryAfterMs: 15 * MINUTE_MS,
})
const listFiles = () => Promise.reject(usedUp)
const refusal = new UpstreamError({ ...usedUp.facts, status: 403, retryable: false })

describe('a run that stands still says for what and until when, in the run and in the report', () => {
  test('when the calls of the budget are used up before its list', async () => {
    const { engine, ref, shown, inMs, clock } = await prepare()

    const begun = await beginRun({ ...engine, kind: { ...engine.kind, listFiles } }, ref)

    const waiting = {
      for: "a list of files: defender: GET /api/machines/InfoGatheringExport: the app's own budget allows no call now",
      until: expect.stringMatching(inMs(15 * MINUTE_MS).slice(0, 16)),
    }
    expect(begun).toEqual({ state: 'later', seconds: 900 })
    expect(await shown()).toMatchObject({ run: { waiting }, report: { lastRun: { waiting } } })
    clock.advance(15 * MINUTE_MS)
    await beginRun(engine, ref)
    expect(await shown()).toMatchObject({ run: { state: 'importing', waiting: null } })
  })

  test('when the calls of the budget are used up before its new links', async () => {
    const { engine, ref, shown } = await prepare()
    await beginRun(engine, ref)
    await importFile(engine, { ...ref, file: 2 })

    await renewLinks({ ...engine, kind: { ...engine.kind, listFiles } }, { ...ref, files: [2] })

    expect((await shown()).run.waiting?.for).toContain("the app's own budget")
    await renewLinks(engine, { ...ref, files: [2] })
    expect((await shown()).run.waiting).toBeNull()
  })

  test('not for its new links any more when the upstream has refused them for good', async () => {
    const { engine, ref, shown } = await prepare()
    await beginRun(engine, ref)
    await importFile(engine, { ...ref, file: 2 })
    await renewLinks({ ...engine, kind: { ...engine.kind, listFiles } }, { ...ref, files: [2] })
    const refused = { ...engine.kind, listFiles: () => Promise.reject(refusal) }

    const over = await renewLinks({ ...engine, kind: refused }, { ...ref, files: [2] })

    expect([over, (await shown()).run.waiting]).toEqual([{ state: 'over' }, null])
  })

  test('not for a renewal that storage broke off: the next try renews the links at once', async () => {
    const { engine, ref, shown } = await prepare()
    await beginRun(engine, ref)
    await importFile(engine, { ...ref, file: 2 })
    const broken = { ...engine.kind, listFiles: () => Promise.reject(new Error('no answer')) }

    const first = renewLinks({ ...engine, kind: broken }, { ...ref, files: [2] })

    await expect(first).rejects.toThrow('no answer')
    expect(await renewLinks(engine, { ...ref, files: [2] })).toEqual({ state: 'renewed' })
    expect((await shown()).run.waiting).toBeNull()
  })

  test('when its files are not ready', async () => {
    const { engine, ref, shown, inMs } = await prepare()
    const { files } = await beginRun(engine, ref).then((begun) => ({ files: [], ...begun }))
    const kind = { ...engine.kind, openFile: async () => ({ kind: 'not-ready' }) as const }
    for (const file of files) await importFile({ ...engine, kind }, { ...ref, file })

    const { run } = await shown()

    expect(run.waiting?.for).toBe('3 of 3 files: the file is not ready')
    expect(run.waiting?.until.slice(0, 18)).toBe(inMs(15_000).slice(0, 18))
  })

  test('when its executor is silent, for whatever reason, and nothing once it is over', async () => {
    const { engine, ref, shown, clock, inMs } = await prepare()
    await beginRun(engine, ref)
    expect((await shown()).run.waiting).toBeNull()

    const takeOver = inMs(120 * MINUTE_MS).slice(0, 16)
    clock.advance(6 * MINUTE_MS)

    const { run } = await shown()
    expect(run.waiting).toMatchObject({
      for: expect.stringContaining('its executor, silent since'),
    })
    expect(run.waiting?.until).toContain(takeOver)
    await finish(engine, ref)
    expect((await shown()).report.lastRun).toMatchObject({ state: 'failed', waiting: null })
  })
})

describe('a start', () => {
  test('while a run is being tidied up after its end begins a new run', async () => {
    const { memory, small, clock, engine, executor, ref } = await prepare()
    const { files } = await beginRun(engine, ref).then((begun) => ({ files: [], ...begun }))
    await importAll(engine, ref, files)
    for (let request = 8; (await engine.runs.run(ref.runId))?.state !== 'published'; request++) {
      const tables = interceptTables(memory.tables, crashAt(request, 'after'))
      await finish(createSmallEngine(tables, small, { clock }), ref).catch(() => {})
    }
    expect((await engine.runs.active())?.run).toBe(ref.runId)

    const next = await startRun(engine, executor)

    expect(next).toMatchObject({ joined: false, state: 'starting' })
    expect(next.runId).not.toBe(ref.runId)
    expect((await engine.runs.active())?.run).toBe(next.runId)
    expect(small.upstream.announced).toContain(ref.runId)
    // The executor of the first run goes on where it was: the run of the caller stays.
    await finish(engine, ref)
    await resumeExports(engine, executor)
    expect((await engine.runs.active())?.run).toBe(next.runId)
  })

  test.each([
    [{ method: 'json', force: true }, ['method: json', 'force: true']],
    [{ method: 'json' }, ['method: json']],
    [{ force: true }, ['force: true']],
    [{ method: 'files' }, []],
    [{ method: 'auto', force: false }, []],
    [{}, []],
  ] as const)(
    'with %j joins a run of files, and names what it will not do: %j',
    async (wish, unmet) => {
      const { engine, executor, ref } = await prepare()

      const joined = await startRun(engine, executor, wish)

      expect(joined).toEqual({ runId: ref.runId, state: 'starting', joined: true, unmet })
    },
  )
})

const quiet: TestStackOptions = {
  fleet: { size: 60, files: 5, badLines: 0 },
  env: noTimers,
}

describe('on the host', () => {
  let stack: TestStack
  afterEach(() => stack.stop())

  test('a wish that the run in progress can’t meet is a 409 that names both; a run that stands still says what it waits for', async () => {
    stack = await startTestStack({ ...quiet, faults: { notReadyFiles: 2, notReadySeconds: 1e9 } })
    const { body } = await stack.post('av-health/exports')
    const engine = await stack.engine()
    while (!(await engine.files.all(body.runId)).some(({ state }) => state === 'not-ready'))
      await new Promise((resolve) => setTimeout(resolve, 10))

    const refused = await stack.post('av-health/exports', { method: 'json', force: true })
    const joined = await stack.post('av-health/exports')

    expect(refused).toMatchObject({
      status: 409,
      body: { type: 'urn:defender-relay:export-in-progress' },
    })
    expect(refused.body.detail).toContain(body.runId)
    expect(refused.body.detail).toContain('method: json')
    expect(joined).toMatchObject({ status: 202, body: { runId: body.runId, joined: true } })
    // On a slow machine a wait of 15 seconds may be over; the next one follows.
    for (const path of [body.runId, `${body.runId}/wait`]) {
      let waiting: unknown = null
      while (!waiting) waiting = (await stack.get(`av-health/exports/${path}`)).body.waiting
      expect(waiting).toEqual({ for: expect.any(String), until: expect.any(String) })
    }
  })

  test('rows that can’t be read are left out and named in lists, run and status', async () => {
    stack = await startTestStack(quiet)
    const { body } = await stack.post('av-health/exports')
    await stack.runToEnd(body.runId)
    const engine = await stack.engine()
    const bad = { kind: 'upsert', columns: { state: 'from-another-version' } } as const
    const rows = [
      { partitionKey: 'av-health', rowKey: 'run|20200101000000aaaa' },
      { partitionKey: `av-health|${body.runId}`, rowKey: '000002' },
    ]
    for (const row of rows) await engine.table('Exports').transact([{ ...bad, ...row }])

    const runs = await stack.get('av-health/exports')
    const snapshots = await stack.get('av-health/snapshots')
    const run = await stack.get(`av-health/exports/${body.runId}`)
    const status = await stack.get('status')

    for (const { body: list } of [runs, snapshots])
      expect(list).toMatchObject({ skippedRows: ['run|20200101000000aaaa'] })
    expect([runs.body.runs.length, snapshots.body.snapshots.length]).toEqual([1, 1])
    expect(run).toMatchObject({ status: 200, body: { skippedRows: ['000002'] } })
    expect(run.body.files).toHaveLength(4)
    expect(status.body.avHealth.skippedRows).toEqual(['run|20200101000000aaaa'])
    expect(status.body.sections.avHealth.problems).toMatchObject([
      {
        code: 'rows-unreadable',
        title: "Rows of table Exports can't be read: run|20200101000000aaaa",
        fix: 'Delete them, unless a newer version of the app wrote them.',
      },
    ])
  })

  test('links to a host that may not be called are renewed once; then the run fails and names the host', async () => {
    stack = await startTestStack({ ...quiet, faults: { linkOrigin: 'https://files.example.net' } })
    const { body } = await stack.post('av-health/exports')

    const run = await stack.runToEnd(body.runId)

    const calls = stack.simulator.requests.filter(({ path }) => path.includes('InfoGathering'))
    expect(run).toMatchObject({ state: 'failed' })
    expect(run.reason).toContain('https://files.example.net: no file store of DEFENDER_CLOUD')
    expect(calls).toHaveLength(2)
  })
})

/**
 * Plays a group of files on a clock of its own, and answers when each activity was called, in seconds. An activity may
 * answer its error.
 */
function playGroup(files: number[], act: (name: string, file: number, at: number) => unknown) {
  let now = 0
  const calls: [second: number, name: string, file: number][] = []
  const df = {
    getInput: () => ({ kind: 'av-health', runId: '20260101000000aaaa', epoch: 1, files }),
    callActivityWithRetry(
      name: string,
      _retry: unknown,
      input: { file?: number; files?: number[] },
    ) {
      const file = input.file ?? input.files?.[0] ?? 0
      calls.push([now, name, file])
      return { result: act(name, file, now) }
    },
    createTimer: (at: Date) => ({ at: at.getTime() / 1000 }),
    Task: { all: () => ({ result: null }) },
    get currentUtcDateTime() {
      return new Date(now * 1000)
    },
  }
  const steps = importFiles({ df } as unknown as OrchestrationContext) as Generator<unknown, void>
  let step = steps.next()
  while (!step.done) {
    const { at, result } = step.value as { at?: number; result?: unknown }
    if (at !== undefined) now = Math.max(now, at)
    step = result instanceof Error ? steps.throw(result) : steps.next(result as never)
  }
  return calls
}

test('a file that becomes ready is imported while others wait a quarter of an hour for calls of the budget', () => {
  const calls = playGroup([1, 2], (name, file, at) => {
    if (name === 'renew-links')
      return at < 900 ? { state: 'later', seconds: 900 } : { state: 'renewed' }
    if (file === 1) return { file, state: at < 60 ? 'again' : 'done' }
    return { file, state: at < 900 ? 'expired' : 'done' }
  })

  expect(calls).toEqual([
    [0, 'import-file', 1],
    [0, 'import-file', 2],
    [0, 'renew-links', 2],
    [15, 'import-file', 1],
    [75, 'import-file', 1],
    [900, 'renew-links', 2],
    [900, 'import-file', 2],
  ])
})

test('a worker that is lost is no end: the file is attempted again, and its link renewed, after 15 seconds', () => {
  const lost = new Error('the worker was lost three times')

  const calls = playGroup([1], (name, file, at) => {
    if (at < 15 || (name === 'renew-links' && at < 30)) return lost
    if (name === 'renew-links') return { state: 'renewed' }
    return { file, state: at < 30 ? 'expired' : 'done' }
  })

  expect(calls).toEqual([
    [0, 'import-file', 1],
    [15, 'import-file', 1],
    [15, 'renew-links', 1],
    [30, 'renew-links', 1],
    [30, 'import-file', 1],
  ])
})

test('each kind of waiting ends by itself: six looks at files, four renewals, six tries of one renewal', () => {
  const never = playGroup([1], (_name, file) => ({ file, state: 'again' }))
  const expired = playGroup([1], (name, file) =>
    name === 'renew-links' ? { state: 'renewed' } : { file, state: 'expired' },
  )
  const refused = playGroup([1], (name, file) =>
    name === 'renew-links' ? { state: 'later', seconds: 60 } : { file, state: 'expired' },
  )

  const count = (calls: [number, string, number][], name: string) =>
    calls.filter((one) => one[1] === name).length
  expect(never.map(([second]) => second)).toEqual([0, 15, 75, 195, 495, 1095, 1695])
  expect(count(expired, 'renew-links')).toBe(4)
  expect(count(expired, 'import-file')).toBe(5)
  expect(count(refused, 'renew-links')).toBe(6)
})
