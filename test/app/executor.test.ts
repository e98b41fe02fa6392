import { app } from '@azure/functions'
import * as df from 'durable-functions'
import { expect, test } from 'vitest'
import { createExecutor } from '../../shared/app/executor.ts'
import type { Executor } from '../../shared/exports/engine.ts'
import { eventually, startTestHost } from '../local/host/start.ts'

type Job = (executor: Executor) => Promise<unknown>
let job: Job = async () => {}
let isLoaded = false

/** Registers one orchestration that sleeps, one that ends, and a function that uses the executor; once a process. */
async function load() {
  if (isLoaded) return
  isLoaded = true
  df.app.orchestration('sleeps', function* (context) {
    yield context.df.createTimer(new Date(context.df.currentUtcDateTime.getTime() + 86_400_000))
  })
  df.app.orchestration('ends', function* () {})
  app.http('use', {
    authLevel: 'anonymous',
    methods: ['POST'],
    extraInputs: [df.input.durableClient()],
    handler: async (_request, context) => {
      try {
        return { jsonBody: { said: await job(createExecutor(df.getClient(context))) } }
      } catch (error) {
        return { jsonBody: { threw: String(error) } }
      }
    },
  })
}

async function prepare() {
  const host = await startTestHost({ load })
  const use = async (wanted: Job) => {
    job = wanted
    return (await host.post('/api/use')).json() as Promise<{ said?: unknown; threw?: string }>
  }
  return { host, use }
}

test('an instance is absent before it is started, live while it runs and ended afterwards', async () => {
  const { use } = await prepare()

  const before = await use((executor) => executor.status('one-1'))
  await use((executor) => executor.start('sleeps', 'one-1', { runId: 'one' }))
  const during = await use((executor) => executor.status('one-1'))
  await use((executor) => executor.terminate('one-1', 'enough'))
  const after = await eventually(async () => {
    const { said } = await use((executor) => executor.status('one-1'))
    return said === 'live' ? undefined : said
  })

  expect([before.said, during.said, after]).toEqual(['absent', 'live', 'ended'])
})

test('an instance that ended by itself is ended', async () => {
  const { use } = await prepare()
  await use((executor) => executor.start('ends', 'two-1', null))

  const said = await eventually(async () => {
    const answer = await use((executor) => executor.status('two-1'))
    return answer.said === 'live' ? undefined : answer.said
  })

  expect(said).toBe('ended')
})

test('starting an instance that is live already succeeds, and starts nothing again', async () => {
  const { use } = await prepare()
  await use((executor) => executor.start('sleeps', 'three-1', 1))

  const again = await use(async (executor) => {
    await Promise.all([executor.start('ends', 'three-1', 2), executor.start('ends', 'three-1', 2)])
    return executor.status('three-1')
  })

  expect(again).toEqual({ said: 'live' })
})

test('terminating an unknown instance, or one that has ended, succeeds', async () => {
  const { use } = await prepare()
  await use((executor) => executor.start('ends', 'four-1', null))
  await eventually(async () =>
    (await use((executor) => executor.status('four-1'))).said === 'ended' ? true : undefined,
  )

  const answers = [
    await use((executor) => executor.terminate('four-1', 'enough')),
    await use((executor) => executor.terminate('nobody', 'enough')),
  ]

  expect(answers).toEqual([{}, {}])
})

test('an instance whose status is not readable is not absent: the call throws', async () => {
  const { host, use } = await prepare()
  let kept: Executor | undefined
  await use(async (executor) => {
    kept = executor
  })

  await host.stop()

  await expect(kept?.status('five-1')).rejects.toThrow()
  await expect(kept?.start('ends', 'five-1', null)).rejects.toThrow()
})
