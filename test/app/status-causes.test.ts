import { CredentialUnavailableError } from '@azure/identity'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { noTimers, startTestStack, type TestStack } from '../stack.ts'
import { freshStorage } from '../storage.ts'

let stack: TestStack

beforeAll(async () => {
  stack = await startTestStack({ fleet: { size: 40, files: 2, badLines: 0 }, env: noTimers })
})
beforeEach(async () => stack.configure({ RELAY_STORAGE: await freshStorage() }))
afterAll(() => stack.stop())

const codes = (list: { code: string }[]) => list.map(({ code }) => code)

test('status names the missing identity as the cause why Defender is not called', async () => {
  const credential = {
    getToken: () => Promise.reject(new CredentialUnavailableError('nobody is signed in')),
  }
  stack.configure({ RELAY_STORAGE: await freshStorage() }, { credential })

  const check = await stack.post('changes/machine-actions/check')
  const { status, body } = await stack.get('status')

  expect(check.status).toBe(503)
  expect(status).toBe(200)
  expect(body.overall).toBe('degraded')
  expect(body.upstreams.defender.state).toBe('no-identity')
  expect(codes(body.problems)).toContain('no-identity')
})

test('a delivery whose row cannot be read is counted in status, which is answered', async () => {
  const callbackUrl = stack.simulator.receiver('hook').url
  const { body: one } = await stack.post('subscriptions', { callbackUrl })
  const { table } = await stack.engine()
  const key = { partitionKey: one.id, rowKey: 'event|machine-actions|000000000009' }
  const columns = { state: 'unheard-of', isOpen: true, stream: 'machine-actions' }
  await table('Deliveries').transact([{ kind: 'insert', ...key, columns }])

  const { status, body } = await stack.get('status')

  expect(status).toBe(200)
  expect(body.deliveries).toMatchObject({ unreadable: 1 })
  expect(codes(body.problems)).toEqual(['rows-unreadable'])
})

test('in the next year an app that works has no problem and no notice', async () => {
  const inFebruary = Date.UTC(stack.clock.now().getUTCFullYear() + 1, 1, 15)
  stack.clock.advance(inFebruary - stack.clock.now().getTime())

  for (const resource of ['machine-actions', 'investigations'])
    await stack.post(`changes/${resource}/check`)
  const { body: started } = await stack.post('av-health/exports')
  await stack.runToEnd(started.runId)
  const { body } = await stack.get('status')

  expect([body.overall, codes(body.problems), codes(body.notices)]).toEqual(['ok', [], []])
})

test('a run that stands still degrades the section, with what it waits for and until when', async () => {
  stack.simulator.setFaults({ exportStatus: { answer: 429, calls: 9, retryAfterSeconds: 900 } })
  const { body: started } = await stack.post('av-health/exports')
  let waiting: { for: string; until: string } | null = null
  while (!waiting) waiting = (await stack.get(`av-health/exports/${started.runId}`)).body.waiting
  stack.clock.advance(6 * 60_000)

  const { body } = await stack.get('status')

  expect(body.sections.avHealth.state).toBe('degraded')
  const problem = body.problems.find(({ code }: { code: string }) => code === 'run-waiting')
  expect(problem).toMatchObject({ cause: waiting.for, fix: expect.stringContaining(waiting.until) })
})
