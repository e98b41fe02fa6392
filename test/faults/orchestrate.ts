import type { OrchestrationContext, Task } from 'durable-functions'
import type { RunRef } from '../../shared/exports/names.ts'
import { exportRun, importFiles } from '../../shared/exports/run.ts'
import type { Clock } from '../../shared/platform/time.ts'

/** How often the retry options of the orchestrations try an activity, and the wait between two tries. */
const TRIES = 3
const RETRY_MS = 2000

/** Runs an orchestration to its end: one activity after the other, timers on the clock. */
export async function orchestrate(
  ref: RunRef,
  clock: Clock,
  activity: (name: string, input: unknown) => Promise<unknown>,
): Promise<void> {
  let last: Promise<unknown> = Promise.resolve()
  const inTurn = (name: string, input: unknown) => {
    const turn = last.catch(() => {}).then(() => activity(name, input))
    last = turn
    return turn
  }

  async function withRetries(name: string, input: unknown): Promise<unknown> {
    for (let tries = 1; ; tries++) {
      try {
        return await inTurn(name, input)
      } catch (error) {
        if (tries === TRIES) throw error
        await clock.sleep(RETRY_MS)
      }
    }
  }

  const taskOf = (work: Promise<unknown>) => {
    work.catch(() => {})
    return { work } as unknown as Task
  }
  const workOf = (task: Task) => (task as unknown as { work: Promise<unknown> }).work

  async function run(
    orchestration: (context: OrchestrationContext) => Generator<Task, void>,
    input: unknown,
  ): Promise<void> {
    const df = {
      getInput: () => input,
      get currentUtcDateTime() {
        return clock.now()
      },
      callActivityWithRetry: (name: string, _options: unknown, given: unknown) =>
        taskOf(withRetries(name, given)),
      callSubOrchestrator: (_name: string, given: unknown) => taskOf(run(importFiles, given)),
      createTimer: (until: Date) =>
        taskOf(clock.sleep(Math.max(0, until.getTime() - clock.now().getTime()))),
      Task: { all: (tasks: Task[]) => taskOf(Promise.all(tasks.map(workOf))) },
    }
    const steps = orchestration({ df } as unknown as OrchestrationContext)
    let step = steps.next()
    while (!step.done) {
      const outcome = await workOf(step.value).then(
        (value) => ({ value }),
        (error: unknown) => ({ error }),
      )
      step = 'error' in outcome ? steps.throw(outcome.error) : steps.next(outcome.value as never)
    }
  }

  await run(exportRun, ref)
}
