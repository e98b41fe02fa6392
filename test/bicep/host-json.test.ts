import { expect, test } from 'vitest'
import { z } from 'zod'
import { readText } from './template-texts.ts'

const time = z.string().regex(/^\d\d:[0-5]\d:[0-5]\d$/, 'a bare number would be read as days')

/** Values with which Azure's host would not start, or would behave differently, if they changed; no compiler checks the file. */
const deployed = z.object({
  version: z.literal('2.0'),
  functionTimeout: time,
  extensionBundle: z.object({
    id: z.literal('Microsoft.Azure.Functions.ExtensionBundle'),
    version: z.literal('[4.36.0, 5.0.0)'),
  }),
  extensions: z.object({
    queues: z.object({
      messageEncoding: z.enum(['none', 'base64']),
      maxPollingInterval: time,
      visibilityTimeout: time,
      batchSize: z.int().min(1).max(32),
    }),
    durableTask: z.object({
      hubName: z.literal('%TASKHUB_NAME%'),
      // These three distinguish runs that are in progress during an upgrade.
      defaultVersion: z.string().regex(/^\d+\.\d+$/),
      versionMatchStrategy: z.literal('CurrentOrOlder'),
      versionFailureStrategy: z.literal('Reject'),
      storageProvider: z.object({
        type: z.literal('AzureStorage'),
        // Azure asks each queue of the hub every ten seconds, and one run is in progress at a time.
        partitionCount: z.literal(1),
        // Flex Consumption scales late when the hub polls less often.
        maxQueuePollingInterval: z.enum(['00:00:02', '00:00:05', '00:00:10']),
        // How long a run stands still after its host has died: the page on operations says it.
        workItemQueueVisibilityTimeout: z.literal('00:02:00'),
        controlQueueVisibilityTimeout: z.literal('00:02:00'),
      }),
      tracing: z.object({ traceInputsAndOutputs: z.literal(false) }),
    }),
  }),
})

test('host.json is valid for Azure, and lets running exports continue after an upgrade', () => {
  const { error } = deployed.safeParse(JSON.parse(readText('host.json')))

  expect(error?.issues ?? []).toEqual([])
})

test('the page on operations says how long a run stands still after its host has died', () => {
  const { extensions } = deployed.parse(JSON.parse(readText('host.json')))
  const { storageProvider } = extensions.durableTask
  const page = readText('docs/operate.md')

  for (const name of ['workItemQueueVisibilityTimeout', 'controlQueueVisibilityTimeout'] as const) {
    expect(storageProvider[name]).toBe('00:02:00')
    expect(page).toContain(`\`${name}\``)
  }
  expect(page).toMatch(/stands still for\s+two minutes at most/)
})

test('the page on upgrades names the version and the strategies that host.json has', () => {
  const { extensions } = deployed.parse(JSON.parse(readText('host.json')))
  const { defaultVersion, versionMatchStrategy, versionFailureStrategy } = extensions.durableTask
  const upgrade = readText('docs/operate.md').split('\n## Upgrade')[1]?.split('\n## ')[0] ?? ''

  for (const word of [defaultVersion, versionMatchStrategy, versionFailureStrategy])
    expect(upgrade).toContain(`\`${word}\``)
})
