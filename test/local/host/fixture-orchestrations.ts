import * as df from 'durable-functions'
import { gates, seen } from './witness.ts'

df.app.activity('double', {
  handler: async (value: number, context) => {
    seen.push({ what: 'double', value })
    context.log('doubling %d', value)
    await gates.get('double')
    return value * 2
  },
})
df.app.activity('hand-back', { handler: (value: unknown) => value })
df.app.activity('break', {
  handler: (value: { until: number; key: string }) => {
    const attempts = seen.filter(({ what }) => what === value.key).length + 1
    seen.push({ what: value.key, value: attempts })
    if (attempts < value.until) throw new Error(`attempt ${attempts} broke`)
    return attempts
  },
})
df.app.activity('wait', {
  handler: async (value: string, context) => {
    seen.push({ what: 'wait', value })
    context.log('waiting for %s', value)
    await gates.get('wait')
    return `waited for ${value}`
  },
})

df.app.orchestration('one', function* (context) {
  return yield context.df.callActivity('double', context.df.getInput())
})
df.app.orchestration('hands', function* (context) {
  return yield context.df.callActivity('hand-back', context.df.getInput())
})
df.app.orchestration('many', function* (context) {
  const count: number = context.df.getInput()
  const tasks = Array.from({ length: count }, (_none, index) =>
    context.df.callActivity('double', index),
  )
  const results: number[] = yield context.df.Task.all(tasks)
  return results.reduce((sum, result) => sum + result, 0)
})
df.app.orchestration('retries', function* (context) {
  const { key, until, together }: { key: string; until: number; together?: number } =
    context.df.getInput()
  const options = new df.RetryOptions(5000, 3)
  options.backoffCoefficient = 2
  const task = context.df.callActivityWithRetry('break', options, { key, until })
  if (!together) return yield task
  const others = Array.from({ length: together }, (_none, index) =>
    context.df.callActivity('double', index),
  )
  return yield context.df.Task.all([task, ...others])
})
df.app.orchestration('fails', function* (context) {
  yield context.df.callActivity('double', 1)
  throw new Error('the orchestrator broke')
})
df.app.orchestration('parent', function* (context) {
  const { children, name }: { children: number; name: string } = context.df.getInput()
  context.df.setCustomStatus({ children })
  const tasks = Array.from({ length: children }, (_none, index) =>
    context.df.callSubOrchestrator(name, index, `${context.df.instanceId}-${index}`),
  )
  return yield context.df.Task.all(tasks)
})
df.app.orchestration('patient-parent', function* (context) {
  const options = new df.RetryOptions(2000, 2)
  try {
    return yield context.df.callSubOrchestratorWithRetry(
      'fails',
      options,
      1,
      `${context.df.instanceId}-child`,
    )
  } catch (error) {
    return String(error).split('\n')[0]
  }
})
df.app.orchestration('sleeper', function* (context) {
  const before = context.df.currentUtcDateTime.getTime()
  yield context.df.createTimer(new Date(before + 30 * 86_400_000))
  return context.df.currentUtcDateTime.getTime() - before
})
df.app.orchestration('waits', function* (context) {
  return yield context.df.callActivity('wait', context.df.getInput())
})
df.app.orchestration('survives', function* (context) {
  const doubled: number[] = []
  for (const value of [1, 2, 3]) doubled.push(yield context.df.callActivity('double', value))
  try {
    yield context.df.callActivity('wait', 'the end')
  } catch (error) {
    return { doubled, error: String(error) }
  }
  return { doubled }
})
df.app.orchestration('careful', function* (context) {
  return yield context.df.callActivityWithRetry(
    'double',
    new df.RetryOptions(2000, 3),
    context.df.getInput(),
  )
})
df.app.orchestration('pair', function* (context) {
  const options = new df.RetryOptions(2000, 3)
  return yield context.df.Task.all(
    [10, 11].map((value) => context.df.callActivityWithRetry('double', options, value)),
  )
})
df.app.orchestration('gives-up', function* (context) {
  try {
    yield context.df.callActivityWithRetry('break', new df.RetryOptions(2000, 3), {
      key: 'given-up',
      until: 99,
    })
  } catch {
    return yield context.df.callActivity('double', 21)
  }
})
df.app.activity('swell', { handler: (length: number) => 'x'.repeat(length) })
df.app.orchestration('swells', function* (context) {
  const retry = new df.RetryOptions(2000, 3)
  const text: string = yield context.df.callActivityWithRetry('swell', retry, context.df.getInput())
  yield context.df.callActivityWithRetry('double', retry, 1)
  return text.length
})
df.app.orchestration('errand', function* (context) {
  const careful = (value: number) =>
    context.df.callActivityWithRetry('double', new df.RetryOptions(2000, 3), value)
  const first: number = yield careful(1)
  const both: number[] = yield context.df.Task.all([careful(2), careful(3)])
  const child: number = yield context.df.callSubOrchestrator(
    'careful',
    4,
    `${context.df.instanceId}-child`,
  )
  yield context.df.createTimer(new Date(context.df.currentUtcDateTime.getTime() + 3000))
  return [first, ...both, child]
})
df.app.orchestration('gathers', function* (context) {
  const tasks = Array.from({ length: 10 }, (_none, index) =>
    context.df.callActivityWithRetry('wait', new df.RetryOptions(2000, 2), `guest ${index}`),
  )
  const waited: string[] = yield context.df.Task.all(tasks)
  return waited.length
})
df.app.orchestration('carries-on', function* (context) {
  try {
    return yield context.df.callActivityWithRetry(
      'wait',
      new df.RetryOptions(2000, 2),
      context.df.getInput(),
    )
  } catch (error) {
    return String(error)
  }
})
df.app.orchestration('lost-activity', function* (context) {
  yield context.df.callActivity('nobody-registered-this')
})
df.app.orchestration('lost-child', function* (context) {
  yield context.df.callSubOrchestrator(
    'nobody-registered-this',
    undefined,
    `${context.df.instanceId}-child`,
  )
})
df.app.orchestration('races', function* (context) {
  yield context.df.Task.any([
    context.df.callActivity('double', 1),
    context.df.callActivity('double', 2),
  ])
})
df.app.orchestration('strays', function* (context) {
  const turn = seen.filter(({ what }) => what === 'strays').length
  seen.push({ what: 'strays', value: turn })
  yield context.df.callActivity(turn === 0 ? 'double' : 'hand-back', 1)
  yield context.df.callActivity('double', 2)
})
df.app.orchestration('trace', function* (context) {
  seen.push({ what: 'turn', value: context.df.isReplaying })
  const tasks = [1, 2, 3].map((value) => context.df.callActivity('double', value))
  yield context.df.Task.all(tasks)
  return context.df.version
})
