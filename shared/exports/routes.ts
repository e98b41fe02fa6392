import { z } from 'zod'
import { RequestError } from '../platform/errors.ts'
import { cutPage } from '../platform/paging.ts'
import { defineRoute, type LongPollOption, type Route } from '../platform/route.ts'
import type { Tickets } from '../platform/tickets.ts'
import { DAY_MS } from '../platform/time.ts'
import type { Executor, ExportEngine } from './engine.ts'
import { RUN_ID } from './names.ts'
import { isOver } from './run-record.ts'
import { startRun } from './start.ts'
import { runSchema, runSummarySchema, viewFile, viewRun } from './view.ts'

/** What the export routes work with. */
export interface ExportDeps {
  engine: ExportEngine
  executor: Executor
  tickets: Tickets
}

const route = defineRoute<ExportDeps>()
const runId = z.string().regex(RUN_ID, 'is not a run id')
const startedSchema = z.strictObject({ runId: z.string(), state: z.string(), joined: z.boolean() })

const snapshotSchema = z.strictObject({
  runId: z.string(),
  generatedTime: z.string().nullable(),
  method: z.enum(['files', 'json']).nullable(),
  devices: z.int(),
  publishedAt: z.string().nullable(),
  current: z.boolean(),
  table: z.string().nullable().describe('Its table in the data account.'),
})

/** Makes the routes of a kind of export; their paths begin with its name, and their names contain it. */
export function createExportRoutes(kind: string): Route<ExportDeps>[] {
  async function findRun({ runs }: ExportEngine, runId: string) {
    const run = await runs.run(runId)
    if (run) return run
    throw new RequestError({
      status: 404,
      problem: 'run-not-found',
      title: 'There is no such run',
      detail: `Run ${runId} is not in the ledger: it never existed, or its record has expired.`,
      fix: `GET /api/${kind}/exports lists the runs.`,
    })
  }

  const wait = {
    name: `${kind}-export`,
    subject: runId,
    lifetimeMs: () => 2 * DAY_MS,
    retryAfterSeconds: 10,
    async read(runId, { engine }) {
      const run = await findRun(engine, runId)
      if (isOver(run.state)) return { status: 200, body: await viewRun(engine, run) }
      return { status: 202, body: { runId, state: run.state } }
    },
  } satisfies LongPollOption<ExportDeps, typeof runId>

  const startExport = route({
    name: `start-${kind}-export`,
    method: 'POST',
    path: `${kind}/exports`,
    summary: 'Start an export run, or join the one in progress',
    body: z.strictObject({
      method: z.enum(['auto', 'files', 'json']).optional(),
      force: z
        .boolean()
        .optional()
        .describe('Import the export even when it is already published.'),
    }),
    answers: {
      202: {
        description: 'The run in progress; Location answers 200 when it has ended.',
        body: startedSchema,
      },
    },
    longPoll: wait,
    async handle({ body }, { engine, executor }) {
      const started = await startRun(engine, executor, body)
      return { status: 202, body: started, subject: started.runId }
    },
  })

  const listExports = route({
    name: `list-${kind}-exports`,
    method: 'GET',
    path: `${kind}/exports`,
    summary: 'Export runs, newest first',
    answers: { 200: { description: 'A page of runs.' } },
    list: { name: 'runs', of: runSummarySchema, position: z.string().regex(RUN_ID) },
    async handle({ query: { limit, after } }, { engine }) {
      const found = await engine.runs.runs(limit + 1, after)
      const { page, next } = cutPage(found, limit, ({ runId }) => runId)
      const runs = await Promise.all(page.map((run) => viewRun(engine, run)))
      return { status: 200, body: { runs, next } }
    },
  })

  const showExport = route({
    name: `show-${kind}-export`,
    method: 'GET',
    path: `${kind}/exports/{runId}`,
    summary: 'One run with its files, counts and rejected lines',
    params: z.strictObject({ runId }),
    answers: { 200: { description: 'The run.', body: runSchema } },
    list: { name: 'files', owner: 'runId', position: z.int().min(0) },
    async handle({ params: { runId }, query: { limit, after } }, { engine }) {
      const run = await findRun(engine, runId)
      const found = []
      for await (const file of engine.files.list(runId, after)) {
        found.push(viewFile(file))
        if (found.length > limit) break
      }
      const { page: files, next } = cutPage(found, limit, ({ number }) => number)
      return { status: 200, body: { ...(await viewRun(engine, run)), files, next } }
    },
  })

  const waitForExport = route({
    name: `wait-for-${kind}-export`,
    method: 'GET',
    path: `${kind}/exports/{runId}/wait`,
    summary: 'Wait for a run: 202 with a Location until it has ended, also with a failure',
    params: z.strictObject({ runId }),
    answers: {
      200: { description: 'The run has ended.', body: runSummarySchema },
      202: {
        description: 'Not yet: poll Location again after Retry-After.',
        body: startedSchema.omit({ joined: true }),
      },
    },
    longPoll: wait,
    handle: async ({ params: { runId } }, deps) => ({
      ...(await wait.read(runId, deps)),
      subject: runId,
    }),
  })

  const listSnapshots = route({
    name: `list-${kind}-snapshots`,
    method: 'GET',
    path: `${kind}/snapshots`,
    summary: 'The stored snapshots, newest first',
    answers: { 200: { description: 'A page of snapshots.' } },
    list: { name: 'snapshots', of: snapshotSchema, position: z.string().regex(RUN_ID) },
    async handle({ query: { limit, after } }, { engine }) {
      const current = await engine.runs.current()
      const published = (await engine.runs.runs(10_000, after)).filter(
        (run) => run.state === 'published' && run.snapshot,
      )
      const { page, next } = cutPage(published, limit, ({ runId }) => runId)
      const snapshots = page.map((run) => ({
        runId: run.runId,
        generatedTime: run.generatedTime,
        method: run.method,
        devices: run.written,
        publishedAt: run.endedAt,
        current: run.runId === current?.runId,
        table: run.snapshot,
      }))
      return { status: 200, body: { snapshots, next } }
    },
  })

  return [startExport, listExports, showExport, waitForExport, listSnapshots]
}
