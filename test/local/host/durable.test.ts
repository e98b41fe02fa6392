import { expect, test } from 'vitest'
import { ending, eventually, startOrchestration, startTestHost, statusOf } from './start.ts'
import { countOf as count } from './witness.ts'

test('an orchestration calls an activity and returns its result', async () => {
  const host = await startTestHost()

  await startOrchestration(host, 'one', 'first', 21)
  const status = await ending(host, 'first')

  expect(status).toMatchObject({ runtimeStatus: 'Completed', output: 42, input: 21 })
})

test.each([
  ['text', 'a text with "quotes"'],
  ['text that looks like a number', '5'],
  ['nothing', null],
  ['a list', [1, 'two', null]],
  ['a nested object', { deep: { er: [true] } }],
  ['line separators and halves of characters', 'a\u2028b\u2029c\ud800d'],
  ['more than one column holds', '\u{1f600}x'.repeat(30_000)],
  ['more than one row holds', ['long '.repeat(200_000)]],
])('%s goes through an orchestration and an activity unchanged', async (_what, value) => {
  const host = await startTestHost()

  await startOrchestration(host, 'hands', 'same', value)
  const status = await ending(host, 'same')

  expect(status.output).toEqual(value)
})

test('Task.all over 200 activities gives every result', async () => {
  const host = await startTestHost()

  await startOrchestration(host, 'many', 'wide', 200)
  const status = await ending(host, 'wide')

  expect(status).toMatchObject({ runtimeStatus: 'Completed', output: 200 * 199 })
})

test('every step gets exactly one completion', async () => {
  const host = await startTestHost()
  const before = count('turn')

  await startOrchestration(host, 'trace', 'turns', 0)
  const status = await ending(host, 'turns')

  expect(count('turn') - before).toBe(1 + 3)
  expect(status.output).toBe('1.0')
})

test('RetryOptions(…, 3) makes three attempts in all', async () => {
  const host = await startTestHost()

  await startOrchestration(host, 'retries', 'tried', { key: 'never', until: 99 })
  for (const [attempts, waitMs] of [
    [1, 5000],
    [2, 10_000],
    [3, 20_000],
  ] as const) {
    await eventually(() => (count('never') === attempts ? true : undefined))
    await eventually(async () => {
      host.clock.advance(waitMs / 10)
      return count('never') > attempts ||
        (await statusOf(host, 'tried')).runtimeStatus !== 'Running'
        ? true
        : undefined
    })
  }
  const status = await ending(host, 'tried')

  expect(count('never')).toBe(3)
  expect(status.runtimeStatus).toBe('Failed')
  expect(status.output).toMatch(
    /^Orchestrator function 'retries' failed: Activity function 'break' failed: attempt 3 broke/,
  )
})

test('an orchestration whose activity fails finally continues with the next', async () => {
  const host = await startTestHost()

  await startOrchestration(host, 'gives-up', 'given')
  const status = await eventually(async () => {
    host.clock.advance(1000)
    const now = await statusOf(host, 'given')
    return now.runtimeStatus === 'Completed' ? now : undefined
  })

  expect(status.output).toBe(42)
  expect(count('given-up')).toBe(3)
})

test('a retried activity among others has its result at its index', async () => {
  const host = await startTestHost()

  await startOrchestration(host, 'retries', 'mixed', { key: 'second-time', until: 2, together: 3 })
  await eventually(() => (count('second-time') === 1 ? true : undefined))
  const status = await eventually(async () => {
    host.clock.advance(1000)
    const now = await statusOf(host, 'mixed')
    return now.runtimeStatus === 'Completed' ? now : undefined
  })

  expect(status.output).toEqual([2, 0, 2, 4])
})

test('sub-orchestrations run with their given ids and return their outputs', async () => {
  const host = await startTestHost()

  await startOrchestration(host, 'parent', 'family', { children: 5, name: 'one' })
  const status = await ending(host, 'family')

  expect(status).toMatchObject({ output: [0, 2, 4, 6, 8], customStatus: { children: 5 } })
  expect(await statusOf(host, 'family-3')).toMatchObject({ runtimeStatus: 'Completed', output: 6 })
})

test('a failing sub-orchestration is retried under the same id and then fails its caller', async () => {
  const host = await startTestHost()

  await startOrchestration(host, 'patient-parent', 'patient', 0)
  const status = await eventually(async () => {
    host.clock.advance(1000)
    const now = await statusOf(host, 'patient')
    return now.runtimeStatus === 'Completed' ? now : undefined
  })

  expect(status.output).toBe("Error: Orchestrator function 'fails' failed: the orchestrator broke ")
})

test('a durable timer of thirty days fires when the clock reaches its time, not before', async () => {
  const host = await startTestHost()

  await startOrchestration(host, 'sleeper', 'asleep')
  await eventually(async () =>
    (await statusOf(host, 'asleep')).runtimeStatus === 'Running' ? true : undefined,
  )
  host.clock.advance(29 * 86_400_000)
  const before = await statusOf(host, 'asleep')
  host.clock.advance(86_400_000)
  const after = await ending(host, 'asleep')

  expect(before.runtimeStatus).toBe('Running')
  expect(after.output).toBeGreaterThanOrEqual(30 * 86_400_000)
})

test('an orchestrator that throws fails with its message', async () => {
  const host = await startTestHost()

  await startOrchestration(host, 'fails', 'broken')
  const status = await ending(host, 'broken')

  expect(status).toMatchObject({
    runtimeStatus: 'Failed',
    output: "Orchestrator function 'fails' failed: the orchestrator broke",
  })
  expect(host.lines.join('\n')).toMatch(
    /Executed 'Functions\.fails' \(Failed, Id=[\w-]+\)\nerror: \[fails\] the orch/,
  )
})
