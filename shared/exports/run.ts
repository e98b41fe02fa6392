import type { OrchestrationContext, Task } from 'durable-functions'
import * as df from 'durable-functions'
import {
  type Begun,
  exportNames,
  type FileOutcome,
  type FilesRef,
  instanceId,
  type Renewed,
  type RunRef,
} from './names.ts'

// Replayed code: it may use only `context.df`. The activities read and write the ledger and have all effects.

/** Files of one sub-orchestration: the whole history of an instance is read again at every step. */
const GROUP_SIZE = 50

/** How often a listing is requested while the upstream answers that it comes later; then the run fails. */
const MAX_LISTINGS = 6

/** Waits in seconds between attempts at files that are not ready or broke off; after the last attempt the file fails. */
const WAIT_SECONDS = [15, 60, 120, 300, 600, 600]

/** How often one group may renew its links; each renewal costs one call of a small hourly budget. */
const MAX_RENEWALS = 4

/** Retries only after a lost worker: activities answer expected errors, they do not throw them. */
const lostWorker = () => new df.RetryOptions(2000, 3)

/**
 * The whole run: list, import every file, publish. Bounded by the waits above. Whatever happens here, the ledger decides
 * what is published.
 */
export function* exportRun(context: OrchestrationContext): Generator<Task, void> {
  const ref = context.df.getInput<RunRef>()
  let begun = (yield call(context, exportNames.beginRun, ref)) as unknown as Begun
  for (let tries = 1; begun.state === 'later' && tries < MAX_LISTINGS; tries++) {
    yield wait(context, begun.seconds)
    begun = (yield call(context, exportNames.beginRun, ref)) as unknown as Begun
  }
  if (begun.state === 'importing') {
    const groups = chunk(begun.files, GROUP_SIZE).map((files, index) =>
      context.df.callSubOrchestrator(
        exportNames.importFiles,
        { ...ref, files },
        `${instanceId(ref)}-${index + 1}`,
      ),
    )
    yield* settle(context, groups)
  }
  if (begun.state !== 'over') yield call(context, exportNames.publishRun, ref)
}

/** One group of files: all in parallel, then again those that are not ready, and with new links those that expired. */
export function* importFiles(context: OrchestrationContext): Generator<Task, void> {
  const { files, ...ref } = context.df.getInput<FilesRef>()
  let pending = files
  let waits = 0
  let renewals = 0
  while (pending.length > 0) {
    const tasks = pending.map((file) => call(context, exportNames.importFile, { ...ref, file }))
    const outcomes = (yield* settle(context, tasks)) as (FileOutcome | undefined)[]
    // No outcome means that the worker was lost three times: the file is attempted again.
    const state = (index: number) => outcomes[index]?.state ?? 'again'
    const expired = pending.filter((_, index) => state(index) === 'expired')
    const again = pending.filter((_, index) => state(index) === 'again')

    const renewed =
      expired.length > 0 &&
      renewals++ < MAX_RENEWALS &&
      (yield* renew(context, { ...ref, files: expired }))
    const waited = again.length > 0 && waits < WAIT_SECONDS.length
    // When others continue at once with new links, the files that are not ready are attempted together with them.
    if (waited && !renewed) yield wait(context, WAIT_SECONDS[waits++] ?? 0)
    pending = [...(renewed ? expired : []), ...(waited ? again : [])]
  }
}

function* renew(context: OrchestrationContext, ref: FilesRef): Generator<Task, boolean> {
  for (let tries = 1; tries <= MAX_LISTINGS; tries++) {
    const renewed = (yield call(context, exportNames.renewLinks, ref)) as unknown as Renewed
    if (renewed.state !== 'later') return renewed.state === 'renewed'
    yield wait(context, renewed.seconds)
  }
  return false
}

/** Waits for every task, also after a failure: `Task.all` alone ends at the first failure while the others still run. */
function* settle(context: OrchestrationContext, tasks: Task[]): Generator<Task, unknown[]> {
  if (tasks.length === 0) return []
  try {
    yield context.df.Task.all(tasks)
  } catch {
    // The loop below finds the failed ones.
  }
  const results: unknown[] = []
  for (const task of tasks) {
    try {
      results.push(yield task)
    } catch {
      results.push(undefined)
    }
  }
  return results
}

function call(context: OrchestrationContext, name: string, input: unknown): Task {
  return context.df.callActivityWithRetry(name, lostWorker(), input)
}

function wait(context: OrchestrationContext, seconds: number): Task {
  return context.df.createTimer(
    new Date(context.df.currentUtcDateTime.getTime() + Math.max(2, seconds) * 1000),
  )
}

function chunk<T>(items: T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, n) =>
    items.slice(n * size, (n + 1) * size),
  )
}
