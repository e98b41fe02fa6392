import { z } from 'zod'
import { RequestError } from '../platform/errors.ts'
import {
  afterSchema,
  cutPage,
  limitSchema,
  nextLink,
  ownedPosition,
  positionOf,
  toCursor,
} from '../platform/paging.ts'
import { defineRoute, type Reply } from '../platform/route.ts'
import type { Tickets } from '../platform/tickets.ts'
import { DAY_MS } from '../platform/time.ts'
import type { Executor, ExportEngine } from './engine.ts'
import { RUN_ID } from './names.ts'
import { countFiles } from './publish.ts'
import { type FileRecord, fileStates, isOver, type Run, runStates } from './run-record.ts'
import { startRun } from './start.ts'

const rowCounts = { parsed: z.int(), written: z.int(), duplicates: z.int(), rejected: z.int() }

const fileSchema = z.strictObject({
  number: z.int(),
  path: z.string(),
  state: z.enum(fileStates),
  attempts: z.int(),
  bytes: z.int(),
  counts: z.strictObject(rowCounts),
  reason: z.string().nullable(),
  rejects: z.array(z.strictObject({ line: z.int(), reason: z.string(), text: z.string() })),
})

/** An export run without its files, as lists show it. */
export const runSummarySchema = z.strictObject({
  runId: z.string(),
  kind: z.string(),
  method: z.enum(['files', 'json']).nullable(),
  state: z.enum(runStates),
  reason: z.string().nullable(),
  generatedTime: z.string().nullable(),
  startedAt: z.string(),
  endedAt: z.string().nullable(),
  epoch: z.int(),
  counts: z.strictObject({ listed: z.int(), imported: z.int(), failed: z.int(), ...rowCounts }),
  notReadyAtFirst: z.int(),
  linksRenewed: z.int(),
  unknownFields: z.record(z.string(), z.int()),
  snapshot: z.string().nullable(),
})

/** An export run with a page of its files. */
export const runSchema = runSummarySchema.extend({
  files: z.array(fileSchema),
  next: z.string().nullable(),
})

type RunSummary = z.infer<typeof runSummarySchema>

/** A run as answers show it; the counts of one under way are those of its files so far. */
export async function viewRun({ kind, files }: ExportEngine, run: Run): Promise<RunSummary> {
  const counted = isOver(run.state)
    ? run
    : { ...run, ...countFiles(await files.all(run.runId)), listed: run.listed }
  const { listed, imported, failed, parsed, written, duplicates, rejected } = counted
  return {
    runId: run.runId,
    kind: kind.name,
    method: run.method,
    state: run.state,
    reason: run.reason,
    generatedTime: run.generatedTime,
    startedAt: run.startedAt,
    endedAt: run.endedAt,
    epoch: run.epoch,
    counts: { listed, imported, failed, parsed, written, duplicates, rejected },
    notReadyAtFirst: counted.notReadyAtFirst,
    linksRenewed: run.linksRenewed,
    unknownFields: counted.unknownFields,
    // The table of a run that failed is on its way out.
    snapshot: isOver(run.state) && run.state !== 'published' ? null : run.snapshot,
  }
}

/** A file of a run as answers show it: never its link. */
function viewFile(file: FileRecord): z.infer<typeof fileSchema> {
  const {
    number,
    path,
    state,
    attempts,
    bytes,
    parsed,
    written,
    duplicates,
    rejected,
    reason,
    rejects,
  } = file
  return {
    number,
    path,
    state,
    attempts,
    bytes,
    counts: { parsed, written, duplicates, rejected },
    reason,
    rejects,
  }
}

/** What the antivirus-health routes work with. */
export interface AvHealthParts {
  engine: ExportEngine
  executor: Executor
  tickets: Tickets
}

/** Declares a route of this domain. */
export const avHealthRoute = defineRoute<AvHealthParts>()

/** The name of the reading that a run's ticket opens. */
export const WAIT_READING = 'av-health-export'

/** How soon to look again at a run under way. */
const RETRY_AFTER_SECONDS = '10'

const runIdParams = z.strictObject({ runId: z.string().regex(RUN_ID, 'is not a run id') })
const startedSchema = z.strictObject({ runId: z.string(), state: z.string(), joined: z.boolean() })

export const startExport = avHealthRoute({
  name: 'start-av-health-export',
  method: 'POST',
  path: 'av-health/exports',
  summary: 'Start an export run, or join the one under way',
  body: z.strictObject({
    method: z.enum(['auto', 'files', 'json']).optional(),
    force: z.boolean().optional().describe('Import even what is published already.'),
  }),
  answers: {
    202: {
      description: 'The run that is under way; Location answers when it is over.',
      body: startedSchema,
    },
  },
  async handle({ body, origin }, parts) {
    const { method, force } = body
    const started = await startRun(parts.engine, parts.executor, {
      ...(method ? { method } : {}),
      ...(force === undefined ? {} : { force }),
    })
    return { status: 202, body: started, headers: await waitHeaders(parts, origin, started.runId) }
  },
})

export const listExports = avHealthRoute({
  name: 'list-av-health-exports',
  method: 'GET',
  path: 'av-health/exports',
  summary: 'Export runs, newest first',
  query: z.strictObject({
    limit: limitSchema,
    after: afterSchema('runs', z.string().regex(RUN_ID)),
  }),
  answers: {
    200: {
      description: 'A page of runs.',
      body: z.strictObject({ runs: z.array(runSummarySchema), next: z.string().nullable() }),
    },
  },
  async handle({ query: { limit, after } }, { engine }) {
    const found = await engine.runs.runs(limit + 1, after)
    const { page, next } = cutPage(found, limit, ({ runId }) => toCursor('runs', runId))
    const runs = await Promise.all(page.map((run) => viewRun(engine, run)))
    return {
      status: 200,
      body: { runs, next },
      headers: nextLink('/api/av-health/exports', { limit }, next),
    }
  },
})

export const showExport = avHealthRoute({
  name: 'show-av-health-export',
  method: 'GET',
  path: 'av-health/exports/{runId}',
  summary: 'One run with its files, counts and rejected lines',
  params: runIdParams,
  query: z.strictObject({
    limit: limitSchema,
    after: afterSchema('files', ownedPosition(z.int().min(0))),
  }),
  answers: { 200: { description: 'The run.', body: runSchema } },
  async handle({ params: { runId }, query: { limit, after } }, { engine }) {
    const run = await findRun(engine, runId)
    const files = []
    for await (const file of engine.files.list(runId, positionOf(runId, after))) {
      files.push(viewFile(file))
      if (files.length > limit) break
    }
    const { page, next } = cutPage(files, limit, ({ number }) => toCursor('files', [runId, number]))
    const headers = nextLink(`/api/av-health/exports/${runId}`, { limit }, next)
    return { status: 200, body: { ...(await viewRun(engine, run)), files: page, next }, headers }
  },
})

export const waitForExport = avHealthRoute({
  name: 'wait-for-av-health-export',
  method: 'GET',
  path: 'av-health/exports/{runId}/wait',
  summary: 'Answers 202 with a Location until the run is over, then the run, a failed one too',
  params: runIdParams,
  answers: {
    200: { description: 'The run is over.', body: runSummarySchema },
    202: {
      description: 'Not yet: ask Location again after Retry-After.',
      body: startedSchema.omit({ joined: true }),
    },
  },
  async handle({ params: { runId }, origin }, parts) {
    const run = await findRun(parts.engine, runId)
    if (isOver(run.state)) return { status: 200, body: await viewRun(parts.engine, run) }
    return {
      status: 202,
      body: { runId, state: run.state },
      headers: await waitHeaders(parts, origin, runId),
    }
  },
})

/** What a run's ticket reads: the wait, going on under the same ticket. */
export async function continueWait(
  runId: string,
  location: string,
  { engine }: AvHealthParts,
): Promise<Reply> {
  const run = await findRun(engine, runId)
  if (isOver(run.state)) return { status: 200, body: await viewRun(engine, run) }
  return {
    status: 202,
    body: { runId, state: run.state },
    headers: { location, 'retry-after': RETRY_AFTER_SECONDS },
  }
}

async function waitHeaders(
  { tickets }: AvHealthParts,
  origin: string,
  runId: string,
): Promise<Record<string, string>> {
  const ticket = await tickets.issue({ reading: WAIT_READING, subject: runId }, 2 * DAY_MS)
  return { location: `${origin}/api/continue/${ticket}`, 'retry-after': RETRY_AFTER_SECONDS }
}

async function findRun({ runs }: AvHealthParts['engine'], runId: string): Promise<Run> {
  const run = await runs.run(runId)
  if (run) return run
  throw new RequestError({
    status: 404,
    problem: 'run-not-found',
    title: 'There is no such run',
    detail: `Run ${runId} is not in the ledger: it never was, or it was forgotten with its time.`,
    remedy: 'GET /api/av-health/exports lists the runs.',
  })
}

const snapshotSchema = z.strictObject({
  runId: z.string(),
  generatedTime: z.string().nullable(),
  method: z.enum(['files', 'json']).nullable(),
  devices: z.int(),
  publishedAt: z.string().nullable(),
  current: z.boolean(),
  table: z.string().nullable().describe('The table in the data account that holds it.'),
})

export const listSnapshots = avHealthRoute({
  name: 'list-av-health-snapshots',
  method: 'GET',
  path: 'av-health/snapshots',
  summary: 'The snapshots that are kept, newest first',
  query: z.strictObject({
    limit: limitSchema,
    after: afterSchema('snapshots', z.string().regex(RUN_ID)),
  }),
  answers: {
    200: {
      description: 'A page of snapshots.',
      body: z.strictObject({ snapshots: z.array(snapshotSchema), next: z.string().nullable() }),
    },
  },
  async handle({ query: { limit, after } }, { engine }) {
    const current = await engine.runs.current()
    const published = (await engine.runs.runs(10_000, after)).filter(
      (run) => run.state === 'published' && run.snapshot,
    )
    const { page, next } = cutPage(published, limit, ({ runId }) => toCursor('snapshots', runId))
    const snapshots = page.map((run) => ({
      runId: run.runId,
      generatedTime: run.generatedTime,
      method: run.method,
      devices: run.written,
      publishedAt: run.endedAt,
      current: run.runId === current?.runId,
      table: run.snapshot,
    }))
    return {
      status: 200,
      body: { snapshots, next },
      headers: nextLink('/api/av-health/snapshots', { limit }, next),
    }
  },
})
