import { randomInt } from 'node:crypto'
import { expect, test } from 'vitest'
import { freshStorage } from '../../storage.ts'
import { startChildHost } from './child-process.ts'
import { breakAfter, type FaultyStorage } from './faulty-storage.ts'
import {
  ending,
  eventually,
  startOrchestration,
  startTestHost,
  statusOf,
  type TestHost,
} from './start.ts'
import { closeGate, countOf, seen } from './witness.ts'

const start = (url: string, name: string, id: string, input: unknown = null) =>
  fetch(`${url}/api/start/${name}/${id}`, { method: 'POST', body: JSON.stringify(input) })

test('an orchestration continues where a stopped host left it', async () => {
  const first = await startTestHost()
  await startOrchestration(first, 'parent', 'family', { children: 3, name: 'sleeper' })
  await eventually(async () =>
    (await statusOf(first, 'family-2').catch(() => undefined))?.runtimeStatus === 'Running'
      ? true
      : undefined,
  )
  await first.stop()

  const second = await startTestHost({ storage: first.options.storage, clock: first.clock })
  second.clock.advance(31 * 86_400_000)
  const status = await ending(second, 'family')

  expect(status.runtimeStatus).toBe('Completed')
  expect(status.output).toHaveLength(3)
})

test('an activity that ran when the host was killed has failed; those before it are not repeated', async () => {
  const storage = await freshStorage()
  const killed = await startChildHost(storage)
  await start(killed.url, 'survives', 'hardy')
  await eventually(() => killed.lines.find((line) => line.includes('waiting for')))
  await killed.kill()
  const before = countOf('double')

  const host = await startTestHost({ storage })
  const status = await ending(host, 'hardy')

  expect(killed.lines.filter((line) => line.includes('doubling'))).toHaveLength(3)
  expect(countOf('double')).toBe(before)
  expect(status.output).toMatchObject({ doubled: [2, 4, 6] })
  expect(JSON.stringify(status.output)).toContain(
    "Activity function 'wait' failed: node exited with code 137",
  )
})

test('with retry options the killed activities run again, and those that had not begun run once', async () => {
  const storage = await freshStorage()
  const killed = await startChildHost(storage)
  await start(killed.url, 'gathers', 'party')
  const begun = () => killed.lines.filter((line) => line.includes('waiting for'))
  await eventually(() => (begun().length === 4 ? true : undefined))
  await killed.kill()

  const host = await startTestHost({ storage })
  const status = await eventually(async () => {
    host.clock.advance(1000)
    const now = await statusOf(host, 'party')
    return now.runtimeStatus === 'Completed' ? now : undefined
  })
  const guests = seen.filter(({ what }) => what === 'wait').map(({ value }) => value)

  expect(status.output).toBe(10)
  expect(guests.toSorted()).toEqual(Array.from({ length: 10 }, (_none, index) => `guest ${index}`))
})

test('dozens of sub-orchestrations continue after a restart', async () => {
  const first = await startTestHost()
  await startOrchestration(first, 'parent', 'tribe', { children: 60, name: 'sleeper' })
  await eventually(async () =>
    (await statusOf(first, 'tribe-59').catch(() => undefined))?.runtimeStatus === 'Running'
      ? true
      : undefined,
  )
  await first.stop()

  const second = await startTestHost({ storage: first.options.storage, clock: first.clock })
  second.clock.advance(31 * 86_400_000)
  const status = await ending(second, 'tribe')

  expect(status.output).toHaveLength(60)
})

test('an activity that ends while the host stops is not lost', async () => {
  const first = await startTestHost()
  const openGate = closeGate('wait')
  await startOrchestration(first, 'waits', 'polite', 'the bus')
  await eventually(() => (seen.some(({ value }) => value === 'the bus') ? true : undefined))
  const stopped = first.stop()
  openGate()
  await stopped

  const second = await startTestHost({ storage: first.options.storage })
  const status = await ending(second, 'polite')

  expect(status.output).toBe('waited for the bus')
  expect(seen.filter(({ value }) => value === 'the bus')).toHaveLength(1)
})

test('the result of an activity that ends while an episode is written survives a crash', async () => {
  const storage = await freshStorage()
  const faulty = await breakAfter(storage, Number.POSITIVE_INFINITY, false)
  const settings = { TASKHUB_NAME: 'TestHub' }
  const dying = await startTestHost({ storage: faulty.connectionString, settings })
  const openGate = closeGate('double')
  const before = countOf('double')
  await startOrchestration(dying, 'pair', 'twins')
  await eventually(() => (countOf('double') - before === 2 ? true : undefined))
  const held = faulty.holdNext()
  const answered = faulty.answered
  openGate()
  await held
  await eventually(() => (faulty.answered > answered ? true : undefined))

  const host = await startTestHost({ storage, settings })
  const status = await endingWhileTimePasses(host, 'twins')

  expect(status.output).toEqual([20, 22])
  expect(countOf('double') - before).toBe(2 + 1)
})

test('a history too large for one transaction is stored completely or not at all', async () => {
  const storage = await freshStorage()
  const outputs: unknown[] = []
  // The tables and the start are the first writes; those of the large result come after them.
  for (const writes of [5, 6, 7, 8, 9]) {
    const settings = { TASKHUB_NAME: `Large${writes}` }
    const faulty = await breakAfter(storage, writes, false)
    const dying = await startTestHost({ storage: faulty.connectionString, settings })
    faulty.signal.addEventListener('abort', () => void dying.stop())
    await startOrchestration(dying, 'swells', 'large', 4_000_000)
    await Promise.race([faulty.broken, ending(dying, 'large').catch(() => undefined)])

    const host = await startTestHost({ storage, settings })
    outputs.push((await endingWhileTimePasses(host, 'large')).output)
    await host.stop()
  }

  expect(outputs).toEqual(outputs.map(() => 4_000_000))
})

test.each([
  ['before a write', false],
  ['after a write that was not answered', true],
])(
  'a host that dies %s, whichever it is, loses nothing and repeats at most what was running',
  async (_when, unanswered) => {
    const storage = await freshStorage()
    const outcomes: unknown[] = []
    // `npm run test:property` takes every write; each run of `npm test` takes other ones.
    const step = process.env.MODE === 'property' ? 1 : 4
    for (let writes = randomInt(step); ; writes += step) {
      const settings = { TASKHUB_NAME: `Hub${writes}` }
      const faulty = await breakAfter(storage, writes, unanswered)
      const survived = await runErrandUntil(faulty, settings)

      const host = await startTestHost({ storage, settings })
      const known = await statusOf(host, 'errand').catch(() => undefined)
      // Not started: the caller got no answer and calls again.
      if (!known) await startOrchestration(host, 'errand', 'errand')
      outcomes.push((await endingWhileTimePasses(host, 'errand')).output)
      await host.stop()
      if (survived) break
    }

    expect(outcomes.length).toBeGreaterThan(15 / step)
    expect(outcomes).toEqual(outcomes.map(() => [2, 4, 6, 8]))
  },
)

/** Runs an action on storage that fails at some moment; true when it ended before that. */
async function runErrandUntil(
  faulty: FaultyStorage,
  settings: Record<string, string>,
): Promise<boolean> {
  const errand = async () => {
    const host = await startTestHost({ storage: faulty.connectionString, settings })
    faulty.signal.addEventListener('abort', () => void host.stop())
    await startOrchestration(host, 'errand', 'errand')
    await endingWhileTimePasses(host, 'errand', faulty.signal)
    return true
  }
  return Promise.race([faulty.broken.then(() => false), errand().catch(() => false)])
}

function endingWhileTimePasses(host: TestHost, id: string, signal?: AbortSignal) {
  return eventually(async () => {
    signal?.throwIfAborted()
    host.clock.advance(1000)
    const status = await statusOf(host, id)
    return ['Completed', 'Failed'].includes(status.runtimeStatus) ? status : undefined
  })
}
