import { expect, test } from 'vitest'
import { hostJson } from './fixture-options.ts'
import { ending, eventually, startOrchestration, startTestHost, statusOf } from './start.ts'
import { closeGate, countOf as count } from './witness.ts'

test('an unregistered activity or sub-orchestration waits for ever, an unregistered orchestration is refused', async () => {
  const host = await startTestHost()

  await startOrchestration(host, 'lost-activity', 'no-activity')
  await startOrchestration(host, 'lost-child', 'no-child')
  const refusal = await startOrchestration(host, 'nobody-registered-this', 'no-orchestrator')
  await eventually(() =>
    host.lines.filter((line) => line.includes('is not registered')).length === 2 ? true : undefined,
  )

  expect(refusal).toContain("The function 'nobody-registered-this' doesn't exist")
  expect((await statusOf(host, 'no-activity')).runtimeStatus).toBe('Running')
  expect((await statusOf(host, 'no-child')).runtimeStatus).toBe('Running')
  expect((await statusOf(host, 'no-child-child')).runtimeStatus).toBe('Pending')
})

test('an action that the host does not support fails the orchestration with a sentence that names it', async () => {
  const host = await startTestHost()

  await startOrchestration(host, 'races', 'race')
  const status = await ending(host, 'race')

  expect(status).toMatchObject({
    runtimeStatus: 'Failed',
    output: 'The embedded host does not support Task.any.',
  })
})

test('an orchestrator with other actions in a replay fails as non-deterministic', async () => {
  const host = await startTestHost()

  await startOrchestration(host, 'strays', 'stray')
  const status = await ending(host, 'stray')

  expect(status.runtimeStatus).toBe('Failed')
  expect(status.output).toMatch(/^Non-Deterministic workflow detected: task 0 was 'double'/)
})

test('no more activities run at once than host.json allows', async () => {
  const host = await startTestHost({
    hostJson: hostJson({ durableTask: { maxConcurrentActivityFunctions: 3 } }),
  })
  const openGate = closeGate('double')
  const before = count('double')

  await startOrchestration(host, 'many', 'narrow', 10)
  await eventually(() => (count('double') - before >= 3 ? true : undefined))
  await startOrchestration(host, 'hands', 'meanwhile', 1)
  const atOnce = count('double') - before
  openGate()
  await ending(host, 'narrow')

  expect(atOnce).toBe(3)
  expect(count('double') - before).toBe(10)
})
