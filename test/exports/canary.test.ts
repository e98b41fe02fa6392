import { afterEach, expect, test } from 'vitest'
import { noFaults } from '../../local/simulator/faults.ts'
import { noTimers, startTestStack, type TestStack, type TestStackOptions } from '../stack.ts'
import { type StoredText, storedTexts } from './stored-texts.ts'

const env = {
  ...noTimers,
}

let stack: TestStack
/** Tickets from Location headers. */
let tickets: string[]
afterEach(() => stack.stop())

async function start(options: TestStackOptions) {
  tickets = []
  stack = await startTestStack({ ...options, env: { ...env, ...options.env } })
}

async function startExport(order = {}): Promise<string> {
  const { body, headers } = await stack.post('av-health/exports', order)
  tickets.push(/[\w-]{43}$/.exec(headers.get('location') ?? '')?.[0] ?? '')
  return body.runId
}

/** Every form that a secret can have in a text: plain, encoded once or twice, in base64 at any offset. */
function formsOf(secret: string): string[] {
  const once = encodeURIComponent(secret)
  const encoded = [0, 1, 2].flatMap((offset) => {
    const inside = Buffer.from(`${' '.repeat(offset)}${secret}`)
      .toString('base64')
      .slice(4, -4)
    return [inside, inside.replaceAll('+', '-').replaceAll('/', '_')]
  })
  // A token without its last part is useless, and the last part alone is a secret too.
  return [secret, secret.split('.').at(-1) ?? secret, once, encodeURIComponent(once), ...encoded]
}

/** The secrets found in stored, printed and answered texts. */
async function findSecrets() {
  const issued = [...stack.simulator.issuedSecrets]
  const own = [...tickets, stack.keys.function, stack.keys.master]
  const find = (texts: StoredText[], secrets: string[]) => {
    const forms = secrets.flatMap(formsOf)
    return texts
      .filter(({ text }) => forms.some((form) => text.includes(form)))
      .map(({ where }) => where)
  }
  const stored = await storedTexts(stack.storage)
  const lines = stack.lines.map((text, index) => ({
    where: `line ${index}: ${text.slice(0, 80)}`,
    text,
  }))
  const answers = stack.answers.map((text, index) => ({ where: `answer ${index}`, text }))
  // Only the caller may see its ticket.
  return {
    issued: issued.length,
    texts: stored.length,
    found: [
      ...find(stored, [...issued, ...own]),
      ...find(lines, [...issued, ...own]),
      ...find(answers, issued),
    ],
  }
}

/** Advances the clock in long steps until no run is in progress. */
async function hurry(runId: string) {
  const { runs } = await stack.engine()
  while ((await runs.active())?.run === runId) {
    await new Promise((resolve) => setTimeout(resolve, 20))
    stack.clock.advance(30_000)
  }
}

/** Every answer about a run. */
async function askEverything(runId: string) {
  for (const path of [`exports/${runId}`, `exports/${runId}/wait`, 'exports', 'snapshots']) {
    await stack.get(`av-health/${path}`)
  }
  await stack.get('status')
}

test('a run through all its steps leaves no secret anywhere', async () => {
  await start({
    faults: {
      notReadyFiles: 2,
      notReadySeconds: 30,
      shortLivedLinks: 2,
      dropMidway: 1,
      userDelegation: true,
    },
  })

  const runId = await startExport()
  const run = await stack.runToEnd(runId)
  await askEverything(runId)

  const { issued, texts, found } = await findSecrets()
  expect(run.state).toBe('published')
  expect(run.linksRenewed).toBeGreaterThan(0)
  expect(issued).toBeGreaterThan(15)
  expect(texts).toBeGreaterThan(5000)
  expect(found).toEqual([])
  expect(stack.simulator.leaks).toEqual([])
})

test('runs that fail in every way leave no secret anywhere', async () => {
  await start({ fleet: { size: 60, files: 5, badLines: 0 }, env: { AV_HEALTH_METHOD: 'files' } })
  const ways = [
    { badGzip: 1 },
    { truncatedGzip: 1 },
    { notReadyFiles: 1, notReadySeconds: 1e9 },
    { blobStatus: { answer: 'html' as const, calls: 1000 } },
    { blobStatus: { answer: 500 as const, calls: 1000 } },
    { blobStatus: { answer: 400 as const, calls: 1000 } },
    { exportStatus: { answer: 401 as const, calls: 1000 } },
    { exportStatus: { answer: 'html' as const, calls: 1000 } },
    { tokenStatus: { answer: 400 as const, calls: 1000 } },
  ]

  const states: string[] = []
  for (const faults of ways) {
    stack.simulator.setFaults({ ...noFaults, ...faults })
    const runId = await startExport({ force: true })
    await hurry(runId)
    states.push((await stack.runToEnd(runId)).state)
    await askEverything(runId)
    // The hourly budget and a valid cached token are not part of this test.
    stack.clock.advance(2 * 3_600_000)
  }

  expect(states).toEqual(ways.map(() => 'failed'))
  expect((await findSecrets()).found).toEqual([])
})

test('a run in progress stores links in the rows of its unfinished files, and nowhere else', async () => {
  await start({
    fleet: { size: 60, files: 5, badLines: 0 },
    faults: { notReadyFiles: 2, notReadySeconds: 1e9 },
  })
  const runId = await startExport()
  const engine = await stack.engine()
  const files = async () => engine.files.all(runId)
  while ((await files()).filter(({ attempts }) => attempts > 0).length < 5) {
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  while ((await files()).some(({ state }) => state === 'importing')) {
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  await askEverything(runId)

  const { found } = await findSecrets()

  const unfinished = (await files()).filter(({ state }) => state === 'not-ready')
  expect(unfinished).toHaveLength(2)
  expect(found).toEqual(
    unfinished.map(
      ({ number }) => `Exports av-health|${runId} ${String(number).padStart(6, '0')} link`,
    ),
  )
})

test('an export by pages leaves no secret anywhere', async () => {
  await start({ fleet: { size: 60, files: 5, badLines: 0 }, env: { AV_HEALTH_METHOD: 'json' } })

  const runId = await startExport()
  const run = await stack.runToEnd(runId)
  await askEverything(runId)

  const { issued, found } = await findSecrets()
  expect(run.state).toBe('published')
  expect(issued).toBeGreaterThan(0)
  expect(found).toEqual([])
})
