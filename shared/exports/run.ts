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

// Replayed code: it may ask `context.df` alone. Ledger and effects are behind the activities.

/** Files of one sub-orchestration: the history of an instance is read whole at every turn. */
const GROUP = 50

/** How often a listing that the upstream puts off is asked for again before the run is given up. */
const BEGINNINGS = 6

/** Waits between attempts at files that are not ready or broke off, in seconds; after the last one the file has failed. */
const WAITS = [15, 60, 120, 300, 600, 600]

/** How often one group may have its links renewed; each renewal costs a call of a small hourly budget. */
const RENEWALS = 4

/** Only for a lost worker: activities answer what went wrong, they do not throw it. */
const lostWorker = () => new df.RetryOptions(2000, 3)

/**
 * The whole run: list, import every file, conclude. Bounded by the waits above; whatever happens here, the ledger decides
 * what is published.
 */
export function* exportRun(context: OrchestrationContext): Generator<Task, void> {
  const ref = context.df.getInput<RunRef>()
  let begun = (yield call(context, exportNames.beginRun, ref)) as unknown as Begun
  for (let turn = 1; begun.state === 'later'; turn++) {
    if (turn === BEGINNINGS) break
    yield wait(context, begun.seconds)
    begun = (yield call(context, exportNames.beginRun, ref)) as unknown as Begun
  }
  if (begun.state === 'importing') {
    const groups = chunk(begun.files, GROUP).map((files, index) =>
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

/** One group of files: all at once, then again those that are not ready, with new links for those that expired. */
export function* importFiles(context: OrchestrationContext): Generator<Task, void> {
  const { files, ...ref } = context.df.getInput<FilesRef>()
  let pending = files
  let waits = 0
  let renewals = 0
  while (pending.length > 0) {
    const tasks = pending.map((file) => call(context, exportNames.importFile, { ...ref, file }))
    const outcomes = (yield* settle(context, tasks)) as (FileOutcome | undefined)[]
    // No outcome means that the worker was lost three times: as good as a file that broke off.
    const state = (index: number) => outcomes[index]?.state ?? 'again'
    const expired = pending.filter((_, index) => state(index) === 'expired')
    const again = pending.filter((_, index) => state(index) === 'again')

    const renewed =
      expired.length > 0 &&
      renewals++ < RENEWALS &&
      (yield* renew(context, { ...ref, files: expired }))
    const waited = again.length > 0 && waits < WAITS.length
    // While others go on with new links, those that are not ready are simply looked at with them.
    if (waited && !renewed) yield wait(context, WAITS[waits++] ?? 0)
    pending = [...(renewed ? expired : []), ...(waited ? again : [])]
  }
}

function* renew(context: OrchestrationContext, ref: FilesRef): Generator<Task, boolean> {
  for (let turn = 1; turn <= BEGINNINGS; turn++) {
    const renewed = (yield call(context, exportNames.renewLinks, ref)) as unknown as Renewed
    if (renewed.state !== 'later') return renewed.state === 'renewed'
    yield wait(context, renewed.seconds)
  }
  return false
}

/** Waits for every task, failed ones included: `Task.all` alone ends at the first failure while the others still run. */
function* settle(context: OrchestrationContext, tasks: Task[]): Generator<Task, unknown[]> {
  if (tasks.length === 0) return []
  try {
    yield context.df.Task.all(tasks)
  } catch {
    // Which one failed shows below.
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
