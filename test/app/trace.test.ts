import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { noTimers, startTestStack, type TestStack } from '../stack.ts'

let stack: TestStack

beforeAll(async () => {
  stack = await startTestStack({
    fleet: { size: 40, files: 2, badLines: 0 },
    env: {
      ...noTimers,
    },
  })
  await stack.post('changes/machine-actions/check')
  await stack.post('subscriptions', {
    callbackUrl: stack.simulator.receiver('hook').url,
    filter: { streams: ['machine-actions', 'av-health'] },
  })
})
afterAll(() => stack.stop())

/** The lines that carry an id: function and words. */
const toldUnder = (id: string) =>
  stack.lines
    .filter((line) => line.endsWith(`"correlation":"${id}"}`))
    .map((line) => line.replace(/^\w+: /, '').replace(/ \{.*/, ''))

/** The id that the newest line of some words carries. */
const idOf = (words: string) =>
  /"correlation":"([^"]+)"\}$/.exec(
    stack.lines.findLast((line) => line.includes(`] ${words} {`)) ?? '',
  )?.[1] ?? ''

const until = async (isSo: () => boolean) => {
  for (let looks = 0; !isSo(); looks++) {
    await new Promise((resolve) => setTimeout(resolve, 20))
    if (looks % 10 === 9) stack.clock.advance(1000)
  }
}

const runTimer = (name: string) =>
  fetch(`${stack.host.url}/admin/functions/${name}`, {
    method: 'POST',
    headers: { 'x-functions-key': stack.keys.master, 'content-type': 'application/json' },
    body: '{"input":""}',
  })

const check = (headers: Record<string, string>) =>
  stack.request('POST', 'changes/machine-actions/check', {
    body: '{}',
    headers: { 'content-type': 'application/json', ...headers },
  })

test('a request names its correlation id, and every line up to the delivery has it', async () => {
  const id = randomUUID()
  stack.simulator.actions.put({ id: 'a1', status: 'Pending' })

  await check({ 'x-ms-client-request-id': id })
  await until(() => toldUnder(id).some((line) => line.includes('delivery attempted')))

  expect(toldUnder(id)).toEqual([
    '[check-resource] poll finished',
    '[check-resource] deliveries queued',
    '[deliver-event] delivery attempted',
  ])
})

test('a trace id is accepted as well, and other text is not', async () => {
  const trace = randomUUID().replaceAll('-', '')

  await check({ traceparent: `00-${trace}-00f067aa0ba902b7-01` })
  const traced = toldUnder(trace)
  await check({
    'x-ms-client-request-id': 'x","level":"error',
    traceparent: `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`,
  })

  expect(traced).toEqual(['[check-resource] poll finished'])
  expect(idOf('poll finished')).toMatch(/^[0-9a-f-]{36}$/)
})

test('a timer creates an id of its own, from its poll to the delivery', async () => {
  const before = idOf('poll finished')
  stack.simulator.actions.put({ id: 'a2', status: 'Pending' })

  await runTimer('poll-machine-actions')
  await until(() => idOf('poll finished') !== before)
  const id = idOf('poll finished')
  await until(() => toldUnder(id).some((line) => line.includes('delivery attempted')))

  expect(toldUnder(id)).toEqual([
    '[poll-machine-actions] poll finished',
    '[poll-machine-actions] deliveries queued',
    '[deliver-event] delivery attempted',
  ])
})

test('an export run has the id of its start in every activity up to the delivery', async () => {
  const id = randomUUID()

  const { body } = await stack.request('POST', 'av-health/exports', {
    body: '{}',
    headers: { 'content-type': 'application/json', 'x-ms-client-request-id': id },
  })
  await stack.runToEnd(body.runId)
  await until(() => toldUnder(id).some((line) => line.includes('delivery attempted')))

  expect(toldUnder(id)).toEqual([
    '[start-av-health-export] export run started',
    '[import-file] export file attempted',
    '[import-file] export file attempted',
    '[publish-run] export run published',
    '[publish-run] deliveries queued',
    '[deliver-event] delivery attempted',
  ])
  const run = await (await stack.engine()).runs.run(body.runId)
  expect(run?.correlation).toBe(id)
})

test('a replay has the id of the request for it', async () => {
  const id = randomUUID()
  const { body } = await stack.get('subscriptions')
  const { next } = (await stack.get('events?limit=1')).body

  await stack.request('POST', `subscriptions/${body.subscriptions[0].id}/replay`, {
    body: JSON.stringify({ after: next }),
    headers: { 'content-type': 'application/json', 'x-ms-client-request-id': id },
  })

  await until(() => toldUnder(id).includes('[deliver-event] delivery attempted'))
})

test('an error answer has the correlation id beside the id of its invocation', async () => {
  const id = randomUUID()

  const named = await stack.request('GET', 'av-health/exports/20200101000000none', {
    headers: { 'x-ms-client-request-id': id },
  })
  const unnamed = await stack.get('av-health/exports/20200101000000none')

  expect(named.body).toMatchObject({ status: 404, correlation: id })
  expect(named.body.instance).not.toBe(id)
  expect(unnamed.body.correlation).toBe(unnamed.body.instance)
})
