import { readFileSync } from 'node:fs'
import { z } from 'zod'

const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8')

const hostSchema = z.object({
  extensions: z.object({
    queues: z.object({ maxPollingInterval: z.string() }),
    durableTask: z.object({ storageProvider: z.object({ partitionCount: z.int() }) }),
  }),
})

/** What the templates, host.json and the timers fix of the cost: read, so that the page follows a change. */
export function readTemplateFacts() {
  const { queues, durableTask } = hostSchema.parse(JSON.parse(read('host.json'))).extensions
  const main = read('bicep/main.bicep')
  const [, memory] = /^param instanceMemoryMB int = (\d+)$/m.exec(main) ?? []
  const [, names = ''] = /^var queues = \[(.+)\]$/m.exec(main) ?? []
  const alerts = read('bicep/modules/alerts.bicep')
  const [, frequency = ''] = /evaluationFrequency: 'PT(\w+)'/.exec(alerts) ?? []
  const [, seconds] = /^00:00:(\d\d)$/.exec(queues.maxPollingInterval) ?? []
  const endpoints = [...read('bicep/modules/endpoints.bicep').matchAll(/^ {2}\{ of: /gm)]
  return {
    /** Megabytes of an instance, by default. */
    memory: Number(memory),
    queues: names.split(',').length,
    /** Queues of the durable hub: one a partition, and one of activities. */
    hubQueues: durableTask.storageProvider.partitionCount + 1,
    pollSeconds: Number(seconds),
    /** How often each alert rule is evaluated, such as `5M`. */
    rules: [...alerts.matchAll(/^ {4}query: /gm)].map(() => frequency),
    /** With the app's own. */
    endpoints: endpoints.length + 1,
  }
}

export type TemplateFacts = ReturnType<typeof readTemplateFacts>
