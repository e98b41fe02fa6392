import type { OrchestrationContext, Task } from 'durable-functions'
import * as df from 'durable-functions'
import {
  type Begun,
  exportNames,
  type FileOutcome,
  type FilesRef,
  instanceId,
  type ParquetOutcome,
  type Renewed,
  type RunRef,
  WAIT_SECONDS,
} from './names.ts'

// Replayed code: it may use only `context.df`. The activities read and write the ledger and have all effects.

/** Files of one sub-orchestration: the whole history of an instance is read again at every step. */
const GROUP_SIZE = 50

/** How often a listing is requested while the upstream answers that it comes later; then the run fails. */
const MAX_LISTINGS = 6

/** How often one group may renew its links; each renewal costs one call of a small hourly budget. */
const MAX_RENEWALS = 4

/** How often Parquet files are tried, and how many calls may write them, of two minutes each. */
const MAX_TRIES = 5
const MAX_WRITES = 60

/** Retries only after a lost worker: activities answer expected errors, they do not throw them. */
const lostWorker = () => new df.RetryOptions(2000, 3)

/**
 * The whole run: list, import every file, compare with the snapshot before, publish. Bounded by the waits above. Whatever happens here, the ledger decides
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
  if (begun.state === 'over') return
  const slices = (yield call(context, exportNames.beginCompare, ref)) as unknown as string[]
  // A slice that failed three times stops nothing: the changes are unknown then.
  yield* settle(
    context,
    slices.map((slice) => call(context, exportNames.compareSlice, { ...ref, slice })),
  )
  yield call(context, exportNames.publishRun, ref)
  yield* writeFiles(context, ref)
}

/** Writes the Parquet files of a published snapshot, where they are wanted; nothing here fails the run. */
function* writeFiles(context: OrchestrationContext, ref: RunRef): Generator<Task, void> {
  let tries = 1
  for (let calls = 0; calls < MAX_WRITES && tries <= MAX_TRIES; calls++) {
    const input = { ...ref, isLast: tries === MAX_TRIES }
    let written: ParquetOutcome
    try {
      written = (yield call(context, exportNames.writeParquet, input)) as unknown as ParquetOutcome
    } catch {
      // Three workers were lost. What is not written is a problem of the status after an hour.
      return
    }
    if (written.state === 'done') return
    if (written.state === 'more') continue
    tries += 1
    yield wait(context, written.seconds)
  }
}

/**
 * One group of files: all in parallel, then again those that are not ready, and with new links those that expired. Each
 * kind of waiting has its own time: files that become ready do not wait for calls of the budget.
 */
export function* importFiles(context: OrchestrationContext): Generator<Task, void> {
  const { files, ...ref } = context.df.getInput<FilesRef>()
  const now = () => context.df.currentUtcDateTime.getTime()
  const ready = [...files]
  const later = { files: [] as number[], at: 0, waits: 0 }
  const expired = { files: [] as number[], at: 0, renewals: 0, tries: 0 }
  while (ready.length + later.files.length + expired.files.length > 0) {
    const attempted = ready.splice(0)
    const tasks = attempted.map((file) => call(context, exportNames.importFile, { ...ref, file }))
    const outcomes = (yield* settle(context, tasks)) as (FileOutcome | undefined)[]
    for (const [index, file] of attempted.entries()) {
      // No outcome means that the worker was lost three times: the file is attempted again.
      const state = outcomes[index]?.state ?? 'again'
      if (state === 'expired') expired.files.push(file)
      if (state === 'again') later.files.push(file)
    }
    if (expired.files.length > 0 && now() >= expired.at) yield* renew(expired)
    if (later.files.length > 0 && now() >= later.at) {
      const seconds = WAIT_SECONDS[later.waits++]
      if (seconds === undefined) later.files = []
      else later.at = now() + seconds * 1000
    }
    if (ready.length > 0) continue
    const waiting = [later, expired].filter((one) => one.files.length > 0)
    if (waiting.length > 0)
      yield wait(context, (Math.min(...waiting.map(({ at }) => at)) - now()) / 1000)
    if (now() >= later.at) ready.push(...later.files.splice(0))
  }

  function* renew(one: typeof expired): Generator<Task, void> {
    if (one.tries === 0) one.renewals += 1
    let renewed: Renewed = { state: 'over' }
    if (one.renewals <= MAX_RENEWALS && one.tries++ < MAX_LISTINGS) {
      const input = { ...ref, files: one.files }
      const [outcome] = yield* settle(context, [call(context, exportNames.renewLinks, input)])
      // No outcome means the same as for a file.
      renewed = (outcome ?? { state: 'later', seconds: WAIT_SECONDS[0] }) as Renewed
    }
    if (renewed.state === 'later') one.at = now() + renewed.seconds * 1000
    else {
      if (renewed.state === 'renewed') ready.push(...one.files)
      Object.assign(one, { files: [], at: 0, tries: 0 })
    }
  }
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
