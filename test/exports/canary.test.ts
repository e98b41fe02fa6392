import { afterEach, expect, test } from 'vitest'
import { noFaults } from '../../local/simulator/faults.ts'
import { theApp } from '../../shared/app.ts'
import { noTimers, startTestStack, type TestStack, type TestStackOptions } from '../stack.ts'
import { type StoredText, storedTexts } from './stored-texts.ts'

const env = {
  ...noTimers,
}

let stack: TestStack
/** Tickets from Location headers, callback URLs and signing secrets. */
let own: string[]
afterEach(() => stack.stop())

async function start(options: TestStackOptions) {
  own = []
  stack = await startTestStack({ ...options, env: { ...env, ...options.env } })
}

async function startExport(order = {}): Promise<string> {
  const { body, headers } = await stack.post('av-health/exports', order)
  own.push(/[\w-]{43}$/.exec(headers.get('location') ?? '')?.[0] ?? '')
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

const find = (texts: StoredText[], secrets: string[]) => {
  const forms = secrets.flatMap(formsOf)
  return texts
    .filter(({ text }) => forms.some((form) => text.includes(form)))
    .map(({ where }) => where)
}

/** The secrets found in printed and answered texts, and in everything that the data account holds: durable history too. */
async function findSecrets() {
  const issued = [...stack.simulator.issuedSecrets]
  const kept = [...own, stack.keys.function, stack.keys.master]
  const stored = await storedTexts(stack.storage)
  const lines = stack.lines.map((text, index) => ({
    where: `line ${index}: ${text.slice(0, 80)}`,
    text,
  }))
  const answers = stack.answers.map((text, index) => ({ where: `answer ${index}`, text }))
  // Only the caller may see its ticket and its signing secret.
  return {
    issued: issued.length,
    texts: stored.length,
    found: [
      ...find(stored, [...issued, ...kept]),
      ...find(lines, [...issued, ...kept]),
      ...find(answers, issued),
    ],
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
    fleet: { size: 60, badLines: 0 },
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
  expect(texts).toBeGreaterThan(1000)
  expect(found).toEqual([])
  expect(stack.simulator.leaks).toEqual([])
})

test('runs that fail in every way leave no secret anywhere', async () => {
  await start({ fleet: { size: 20, files: 4, badLines: 0 }, env: { AV_HEALTH_METHOD: 'files' } })
  const ways = [
    // Of its three files that have rows each fails in another way.
    { notReadyFiles: 1, notReadySeconds: 1e9, badGzip: 2, truncatedGzip: 1 },
    { blobStatus: { answer: 'html' as const, calls: 1000 } },
    { blobStatus: { answer: 500 as const, calls: 1000 } },
    { blobStatus: { answer: 400 as const, calls: 1000 } },
    { exportStatus: { answer: 401 as const, calls: 1000 } },
    { exportStatus: { answer: 'html' as const, calls: 1000 } },
    { tokenStatus: { answer: 400 as const, calls: 1000 } },
  ]

  const states: string[] = []
  const reasons = new Set<string>()
  for (const faults of ways) {
    stack.simulator.setFaults({ ...noFaults, ...faults })
    const runId = await startExport({ force: true })
    const { state, files } = await stack.runToEnd(runId)
    states.push(state)
    for (const { reason } of files) reasons.add(reason)
    await askEverything(runId)
    // The hourly budget and a valid cached token are not part of this test.
    stack.clock.advance(2 * 3_600_000)
  }

  expect(states).toEqual(ways.map(() => 'failed'))
  expect([...reasons].map((reason) => reason.replace(/^.*file: /, ''))).toEqual([
    'the file is not ready',
    'a damaged body in the encoding gzip',
    'the file is empty',
    'truncated',
    '502',
    '500 InternalServerError',
    '400 BadRequest',
  ])
  expect((await findSecrets()).found).toEqual([])
})

test('a run in progress stores the links of its unfinished files in the secrets account, and nothing in the data account', async () => {
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
  expect(found).toEqual([])
  const secrets = await storedTexts(stack.secrets)
  expect(find(secrets, [...stack.simulator.issuedSecrets])).toEqual(
    unfinished.map(
      ({ number }) => `Secrets link|${runId} ${String(number).padStart(6, '0')} secret`,
    ),
  )
})

test('a day of subscriptions, failures, dead letters, tickets and an export leaves no secret in the data account', async () => {
  await start({
    fleet: { size: 60, files: 5, badLines: 0 },
    faults: { notReadyFiles: 1, notReadySeconds: 60, shortLivedLinks: 1, userDelegation: true },
  })
  const until = async (isTrue: () => Promise<boolean>) => {
    while (!(await isTrue())) {
      await new Promise((resolve) => setTimeout(resolve, 20))
      stack.clock.advance(1000)
    }
  }
  const housekeeping = () =>
    fetch(`${stack.host.url}/admin/functions/housekeeping`, {
      method: 'POST',
      headers: { 'x-functions-key': stack.keys.master, 'content-type': 'application/json' },
      body: '{}',
    })
  await stack.post('changes/machine-actions/check')
  const signature = (name: string) => `canary-signature-of-${name}-`.padEnd(43, name)
  const subscribe = async (mode: 'accept' | 'refuse' | 'gone', sig: string) => {
    const receiver = stack.simulator.receiver(mode)
    receiver.setMode(mode)
    own.push(sig)
    const { body, headers } = await stack.post('subscriptions', {
      callbackUrl: `${receiver.url}?sig=${sig}`,
    })
    own.push(headers.get('location')?.split('.').at(-1) ?? '')
    if (body.secret) own.push(body.secret.slice('whsec_'.length))
    return body.id as string
  }
  const accepts = await subscribe('accept', signature('a'))
  const refuses = await subscribe('refuse', signature('r'))
  const goes = await subscribe('gone', signature('g'))

  // Half a day: events, a rotation, another signature, a test, tickets, and an export that is waiting for a file.
  stack.simulator.actions.put({ id: 'action-1', status: 'Pending' })
  await stack.post('changes/machine-actions/check')
  const { body: rotated } = await stack.post(`subscriptions/${accepts}/rotate-secret`)
  own.push(rotated.secret.slice('whsec_'.length))
  await subscribe('accept', signature('b'))
  await stack.post(`subscriptions/${refuses}/test`)
  for (const path of ['events/trigger', 'changes/machine-actions/items/nope/wait'])
    own.push((await stack.get(path)).headers.get('location')?.split('ticket=')[1] ?? '')
  await stack.get('scan-history/tenable/scans/117')
  const runId = await startExport()
  await until(async () => (await stack.get(`subscriptions/${goes}`)).body.state === 'disabled')
  await until(async () => (await stack.get(`av-health/exports/${runId}`)).body.linksRenewed > 0)
  const half = await findSecrets()

  // The other half: the export ends, events expire and become dead letters, a subscription is deleted, and the hours pass.
  const run = await stack.runToEnd(runId)
  const { feed } = await theApp().events()
  const { next } = await feed.head('machine-actions')
  await feed.moveCounter('machine-actions', 'oldest', next)
  await housekeeping()
  await until(async () => (await stack.get(`subscriptions/${refuses}`)).body.dead > 0)
  await stack.request('DELETE', `subscriptions/${goes}`)
  stack.clock.advance(25 * 3_600_000)
  await housekeeping()
  for (const path of ['subscriptions', `subscriptions/${refuses}/deliveries`, 'events', 'status'])
    await stack.get(path)
  const end = await findSecrets()

  expect([half.found, end.found]).toEqual([[], []])
  expect(run.state).toBe('published')
  expect(own.length).toBeGreaterThan(12)
  const secrets = await storedTexts(stack.secrets)
  const held = (name: string) => find(secrets, [signature(name)])
  // The newest signature, and nothing of the subscription that was deleted or of the run that has ended.
  expect(held('b')).toEqual([`Secrets subscription ${accepts} secret`])
  expect(held('r')).toEqual([`Secrets subscription ${refuses} secret`])
  expect(find(secrets, [rotated.secret])).toEqual([`Secrets subscription ${accepts} secret`])
  expect([held('a'), held('g')]).toEqual([[], []])
  expect(find(secrets, [...stack.simulator.issuedSecrets])).toEqual([])
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
