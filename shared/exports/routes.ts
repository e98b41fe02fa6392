import { z } from 'zod'
import { RequestError } from '../platform/errors.ts'
import { cutPage } from '../platform/paging.ts'
import { momentSchema, toPast } from '../platform/request.ts'
import { defineRoute, type LongPollOption, type Route } from '../platform/route.ts'
import type { Tickets } from '../platform/tickets.ts'
import { DAY_MS } from '../platform/time.ts'
import type { Executor, ExportEngine } from './engine.ts'
import { RUN_ID } from './names.ts'
import { isOver, runStates } from './run-record.ts'
import { publishOnRequest, startRun } from './start.ts'
import { runSchema, runSummarySchema, skippedRows, viewFile, viewRun } from './view.ts'

export interface ExportDeps {
  engine: ExportEngine
  executor: Executor
  tickets: Tickets
}

const route = defineRoute<ExportDeps>()
const runId = z.string().regex(RUN_ID, 'is not a run id such as 20261120060000abcd')
const stateSchema = z.strictObject({ runId: z.string(), state: z.string() })
const startedSchema = stateSchema.extend({ joined: z.boolean() })

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

  const inProgress = (runId: string, why: string) =>
    new RequestError({
      status: 409,
      problem: 'export-in-progress',
      title: 'A run is in progress',
      detail: `Run ${runId} is in progress and ${why}.`,
      fix: `Repeat it when GET /api/${kind}/exports/${runId}/wait answers 200.`,
    })

  const wait = {
    name: `${kind}-export`,
    subject: runId,
    lifetimeMs: () => 2 * DAY_MS,
    retryAfterSeconds: 10,
    async read(runId, { engine }) {
      const run = await findRun(engine, runId)
      const body = await viewRun(engine, run)
      const { state, waiting } = body
      return isOver(state)
        ? { status: 200, body }
        : { status: 202, body: { runId, state, waiting } }
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
      const { unmet, ...started } = await startRun(engine, executor, body)
      const { runId } = started
      if (unmet.length > 0)
        throw inProgress(runId, `was started otherwise, without ${unmet.join(' and ')}`)
      return { status: 202, body: started, subject: runId }
    },
  })

  const publishExport = route({
    name: `publish-${kind}-export`,
    method: 'POST',
    path: `${kind}/exports/{runId}/publish`,
    summary: 'Publish a run that a guard stopped, within 24 hours and without a new download',
    params: z.strictObject({ runId }),
    answers: {
      202: {
        description: 'The run goes on; Location answers 200 when it has ended.',
        body: stateSchema,
      },
    },
    longPoll: wait,
    async handle({ params: { runId } }, { engine, executor }) {
      await findRun(engine, runId)
      const answer = await publishOnRequest(engine, executor, runId)
      if ('inProgress' in answer) throw inProgress(answer.inProgress, 'must end first')
      if ('refusal' in answer) {
        throw new RequestError({
          status: 409,
          problem: 'run-not-publishable',
          title: 'This run can not be published',
          detail: `Run ${runId} ${answer.refusal}.`,
          fix: `A run that a guard stopped can be published for 24 hours, while no newer snapshot is. POST /api/${kind}/exports starts a new one.`,
        })
      }
      return { status: 202, body: { runId, state: answer.run.state }, subject: runId }
    },
  })

  const listExports = route({
    name: `list-${kind}-exports`,
    method: 'GET',
    path: `${kind}/exports`,
    summary: 'Export runs, newest first',
    mcp: 'Export runs with their accounting, newest first. A run in progress is not a snapshot; it does not tell devices.',
    query: z.strictObject({
      state: z.enum(runStates).optional(),
      since: momentSchema
        .optional()
        .describe('Started at this time or later, or so long ago: `30d`.'),
    }),
    answers: { 200: { description: 'A page of runs.' } },
    list: { name: 'runs', of: runSummarySchema, position: runId, more: { skippedRows } },
    async handle({ query: { limit, after, state, since } }, { engine }) {
      const skippedRows: string[] = []
      const from =
        since === undefined ? 0 : Date.parse(toPast('query.since', since, engine.clock.now()))
      const found = (await engine.runs.runs(10_000, after, skippedRows)).filter(
        (run) => (state ?? run.state) === run.state && Date.parse(run.startedAt) >= from,
      )
      const { page, next } = cutPage(found, limit, ({ runId }) => runId)
      const runs = await Promise.all(page.map((run) => viewRun(engine, run)))
      return { status: 200, body: { runs, skippedRows, next } }
    },
  })

  const showExport = route({
    name: `show-${kind}-export`,
    method: 'GET',
    path: `${kind}/exports/{runId}`,
    summary: 'One run with its files, counts and rejected lines',
    mcp: 'One export run: files, counts, rejected lines with reasons. Only a published run is a snapshot; it does not tell devices.',
    params: z.strictObject({ runId }),
    answers: { 200: { description: 'The run.', body: runSchema } },
    list: { name: 'files', position: z.int().min(0) },
    async handle({ params: { runId }, query: { limit, after } }, { engine }) {
      const run = await findRun(engine, runId)
      const found = []
      const skippedRows: string[] = []
      for await (const file of engine.files.list(runId, after, skippedRows)) {
        found.push(viewFile(file))
        if (found.length > limit) break
      }
      const { page: files, next } = cutPage(found, limit, ({ number }) => number)
      return { status: 200, body: { ...(await viewRun(engine, run)), files, skippedRows, next } }
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
        body: stateSchema.extend({ waiting: runSummarySchema.shape.waiting }),
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
    mcp: 'Stored snapshots of the fleet with their number of devices. Older ones are deleted; it does not tell their devices.',
    answers: { 200: { description: 'A page of snapshots.' } },
    list: { name: 'snapshots', of: snapshotSchema, position: runId, more: { skippedRows } },
    async handle({ query: { limit, after } }, { engine }) {
      const skippedRows: string[] = []
      const { runId: newest = '' } = (await engine.runs.current()) ?? {}
      // One that is published in between is in the next list.
      const published = (await engine.runs.runs(10_000, after, skippedRows)).filter(
        ({ runId, state, snapshot }) => state === 'published' && snapshot && runId <= newest,
      )
      const { page, next } = cutPage(published, limit, ({ runId }) => runId)
      const snapshots = page.map(({ runId, generatedTime, method, ...run }) => ({
        ...{ runId, generatedTime, method, devices: run.written, publishedAt: run.endedAt },
        current: runId === newest,
        table: run.snapshot,
      }))
      return { status: 200, body: { snapshots, skippedRows, next } }
    },
  })

  return [startExport, publishExport, listExports, showExport, waitForExport, listSnapshots]
}
