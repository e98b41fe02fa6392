import type { InvocationContext } from '@azure/functions'
import { type DurableClient, OrchestrationRuntimeStatus } from 'durable-functions'
import { z } from 'zod'
import { theApp } from '../app.ts'
import { AV_HEALTH } from '../av-health/export.ts'
import { poll } from '../changes/poll.ts'
import { isExpectedError } from '../changes/poll-state.ts'
import { resources } from '../changes/resources/index.ts'
import { catchUpStanding } from '../changes/standing.ts'
import { deliver } from '../events/delivery/deliver.ts'
import { dispatch } from '../events/delivery/dispatch.ts'
import { sweepDeliveries, wakeAll } from '../events/delivery/sweep.ts'
import { ANSWERS, ANSWERS_MS, SECRETS } from '../events/deps.ts'
import { expireEvents } from '../events/feed/feed.ts'
import { forgetOldSecrets } from '../events/subscriptions/change.ts'
import { beginRun, renewLinks } from '../exports/begin.ts'
import { compareSlice } from '../exports/compare.ts'
import type { ExportEngine } from '../exports/engine.ts'
import { expireHistory, expireSnapshots } from '../exports/expire.ts'
import { LONGEST_LINK_MS } from '../exports/file-store.ts'
import { importFile } from '../exports/import.ts'
import { exportNames, RUN_ID } from '../exports/names.ts'
import { writeParquet } from '../exports/parquet.ts'
import { beginCompare, publishRun } from '../exports/publish.ts'
import { resumeExports as resumeKind, startRun } from '../exports/start.ts'
import { finishAll } from '../platform/errors.ts'
import { sweepSecrets } from '../platform/secrets.ts'
import { DAY_MS } from '../platform/time.ts'
import { createExecutor } from './executor.ts'
import { emitHeartbeat } from './heartbeat.ts'
import { tracedOf } from './http.ts'
import { streams } from './sections/events.ts'

const carrier = z.object({ correlation: z.string().regex(/^[\w-]{1,64}$/) })

/** The correlation id in the input of an activity; undefined where there is none. */
const correlationIn = (input: unknown): string | undefined =>
  carrier.safeParse(input).data?.correlation

type Flow = (context: InvocationContext, client: DurableClient) => Promise<void>

/** The kinds of export, each with the section that runs it. A new kind is one more line. */
const exportSections = {
  [AV_HEALTH]: () => theApp().avHealth(),
}
type ExportName = keyof typeof exportSections

export const exportKinds = Object.keys(exportSections) as ExportName[]

async function engineFor(kind: ExportName, context: InvocationContext, correlation?: string) {
  const { engine } = await exportSections[kind]()
  return engine(tracedOf(context, correlation))
}

/** Starts the scheduled run of a kind, or joins the run in progress. */
export async function startExport(
  kind: ExportName,
  context: InvocationContext,
  client: DurableClient,
) {
  await startRun(await engineFor(kind, context), createExecutor(client))
}

/** Writes the heartbeat, then takes over the runs of all kinds that no instance executes any more. */
export const resumeExports: Flow = async (context, client) => {
  await finishAll([
    () => emitHeartbeat(theApp(), tracedOf(context)),
    ...exportKinds.map(
      (kind) => async () => resumeKind(await engineFor(kind, context), createExecutor(client)),
    ),
  ])
}

const eventsOf = async (context: InvocationContext) =>
  (await theApp().events()).events(tracedOf(context))

/** Dispatches and folds the events that a crash or another instance left in the feed, and wakes subscriptions. */
export async function dispatchEvents(context: InvocationContext) {
  const deps = await eventsOf(context)
  const { feed } = await theApp().events()
  const folded = resources.filter(({ history }) => history !== undefined)
  await finishAll([
    ...streams.map((stream) => () => dispatch(deps, stream)),
    () => wakeAll(deps),
    ...folded.map((resource) => async () => {
      const { log } = deps
      await catchUpStanding({ feed, resource, log }, await feed.head(resource.name))
    }),
  ])
}

export const deliveryVerbs = { deliver: onMessage(false), retry: onMessage(true) }

function onMessage(isRetry: boolean) {
  return async (message: unknown, context: InvocationContext) =>
    deliver(await eventsOf(context), message, { isRetry })
}

export const pollTimers = resources.map(({ name, schedule: { setting } }) => ({ name, setting }))

export async function pollChanges(name: string, context: InvocationContext) {
  const { context: pollContext } = await theApp().changes()
  try {
    const { head } = await poll(pollContext(name, tracedOf(context), 'background'))
    await dispatch(await eventsOf(context), name, head)
  } catch (error) {
    // Log and status show it already; the next run of the timer is the retry.
    if (!isExpectedError(error)) throw error
  }
}

/** How long the history of finished instances is kept, for the analysis of failures. */
const HISTORY_DAYS = 7

/** Deletes what has expired: snapshots, deliveries, secrets, events, tickets, cached look-ups, durable history. */
export const housekeeping: Flow = async (context, client) => {
  const { base, events, scanHistory, clock } = theApp()
  const { Completed, Failed, Terminated } = OrchestrationRuntimeStatus
  await finishAll([
    ...exportKinds.flatMap((kind) => [
      async () => expireSnapshots(await engineFor(kind, context)),
      async () => expireHistory(await engineFor(kind, context)),
    ]),
    async () => sweepDeliveries(await eventsOf(context)),
    async () => forgetOldSecrets(await eventsOf(context)),
    async () => {
      const [{ secrets }, { subscriptions }] = [await base(), await eventsOf(context)]
      await sweepSecrets(secrets, clock.now(), async ({ partitionKey, rowKey }, ageMs) =>
        partitionKey === SECRETS
          ? subscriptions.exists(rowKey)
          : ageMs < (partitionKey.startsWith(ANSWERS) ? ANSWERS_MS : LONGEST_LINK_MS),
      )
    },
    ...streams.map((stream) => async () => {
      const { feed, retentionDays } = await events()
      await expireEvents({ feed, clock, log: tracedOf(context).log }, stream, retentionDays())
    }),
    async () => (await base()).tickets.sweep(),
    async () => (await scanHistory()).cache.sweep(),
    () =>
      client.purgeInstanceHistoryBy({
        createdTimeFrom: new Date('2020-01-01T00:00:00Z'),
        createdTimeTo: new Date(clock.now().getTime() - HISTORY_DAYS * DAY_MS),
        // Without the terminal statuses the service purges running instances too.
        runtimeStatus: [Completed, Failed, Terminated],
      }),
  ])
}

// Inputs come back from the task hub, so they are parsed like all input from outside.
const run = z.object({
  kind: z.enum(exportKinds),
  runId: z.string().regex(RUN_ID),
  epoch: z.int().min(1),
})
const file = run.extend({ file: z.int().min(1) })
const files = run.extend({ files: z.array(z.int().min(1)) })
const slice = run.extend({ slice: z.string().regex(/^(?:[0-9a-f]{2}|~)$/) })

type Activity = (input: unknown, context: InvocationContext) => Promise<unknown>

const activity =
  <T extends z.output<typeof run>>(
    schema: z.ZodType<T>,
    work: (engine: ExportEngine, input: T) => Promise<unknown>,
  ): Activity =>
  async (input, context) => {
    const parsed = schema.parse(input)
    return work(await engineFor(parsed.kind, context, correlationIn(input)), parsed)
  }

export const exportActivities: Record<string, Activity> = {
  [exportNames.beginRun]: activity(run, beginRun),
  [exportNames.importFile]: activity(file, importFile),
  [exportNames.renewLinks]: activity(files, renewLinks),
  [exportNames.beginCompare]: activity(run, beginCompare),
  [exportNames.compareSlice]: activity(slice, (engine, ref) => compareSlice(engine, ref)),
  [exportNames.publishRun]: activity(run, publishRun),
  [exportNames.writeParquet]: activity(run.extend({ isLast: z.boolean() }), async (engine, input) =>
    writeParquet(engine, (await exportSections[input.kind]()).blobs, input),
  ),
}
