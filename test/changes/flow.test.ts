import { CloudEvent } from 'cloudevents'
import { Webhook } from 'standardwebhooks'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { startTestStack, type TestStack } from '../stack.ts'

let stack: TestStack

beforeEach(async () => {
  stack = await startTestStack({ fleet: { size: 3, files: 1 } })
  // The first poll records its items and emits nothing.
  await check('machine-actions')
  await check('investigations')
})
afterEach(() => stack.stop())

const check = async (resource: string) => {
  const { status, body } = await stack.post(`changes/${resource}/check`)
  expect(status).toBe(200)
  return body
}

/** Real time for the queues, virtual time for the app. */
const until = async (isTrue: () => boolean | Promise<boolean>) => {
  while (!(await isTrue())) {
    await new Promise((resolve) => setTimeout(resolve, 20))
    stack.clock.advance(1000)
  }
}

describe('a webhook', () => {
  test('gets each step of an action once, signed, as a CloudEvent', async () => {
    const receiver = stack.simulator.receiver('hook')
    const { status, body } = await stack.post('subscriptions', { callbackUrl: receiver.url })
    stack.simulator.actions.put({
      id: 'a1',
      status: 'Pending',
      type: 'Isolate',
      machineId: 'f'.repeat(40),
    })
    await check('machine-actions')
    stack.simulator.actions.change('a1', { status: 'Succeeded' })
    await check('machine-actions')

    await until(() => receiver.deliveries.length >= 2)

    expect(status).toBe(201)
    const verifier = new Webhook(body.secret)
    const events = receiver.deliveries.map(({ body: event, headers }) => {
      const text = JSON.stringify(event)
      verifier.verify(text, headers as Record<string, string>)
      return new CloudEvent(event as CloudEvent)
    })
    expect(events.map((event) => event.validate())).toEqual([true, true])
    const steps = events.map(({ type, sequence, data }) => [
      sequence,
      type,
      (data as unknown as { to: string }).to,
    ])
    expect(steps.toSorted()).toEqual([
      ['000000000001', 'defender-relay.machine-action.appeared', 'Pending'],
      ['000000000002', 'defender-relay.machine-action.changed', 'Succeeded'],
    ])
    expect(new Set(events.map(({ id }) => id)).size).toBe(2)
    const { body: shown } = await stack.get(`subscriptions/${body.id}`)
    expect(shown).toMatchObject({ state: 'active', pending: 0, dead: 0, consecutiveFailures: 0 })
    expect(JSON.stringify(shown)).not.toContain(body.secret)
  })

  test('that fails is in the status, and gets everything after it is fixed', async () => {
    const receiver = stack.simulator.receiver('hook')
    receiver.setMode('refuse')
    const { body } = await stack.post('subscriptions', { callbackUrl: receiver.url })
    stack.simulator.actions.put({ id: 'a1', status: 'Pending' })
    await check('machine-actions')
    await until(() => receiver.deliveries.length >= 1)
    const { body: failing } = await stack.get('status')

    receiver.setMode('accept')
    await until(() => receiver.unique().length === 1)

    expect(failing.deliveries).toMatchObject({ pending: 1, dead: 0 })
    await until(async () => (await stack.get(`subscriptions/${body.id}`)).body.pending === 0)
  })

  test('of Logic Apps subscribes with 201 and a Location that takes DELETE', async () => {
    const receiver = stack.simulator.receiver('logic-app')
    const created = await stack.post('subscriptions', {
      callbackUrl: receiver.url,
      filter: { terminalOnly: true },
    })
    const location = created.headers.get('location') ?? ''

    // Without a key, and with one.
    const read = await fetch(location)
    const deleted = await fetch(location, { method: 'DELETE' })
    const again = await stack.request('DELETE', location)

    expect(created.status).toBe(201)
    expect(location).toContain(`/api/continue?ticket=${created.body.id}.`)
    expect([read.status, deleted.status, again.status]).toEqual([404, 204, 404])
    expect((await stack.get('subscriptions')).body.subscriptions).toEqual([])
  })
})

describe('a Logic App that drops its headers when it follows a Location', () => {
  /** As Logic Apps does: the action's own headers are not sent again. */
  const follow = async (location: string) => {
    const response = await fetch(location)
    const body = (await response.json()) as Record<string, unknown>
    return { status: response.status, headers: response.headers, body }
  }

  test('polls its trigger: 202 until there is an event, then one event a 200', async () => {
    const first = await stack.get('events/trigger?stream=machine-actions')
    const nothing = await follow(first.headers.get('location') ?? '')
    stack.simulator.actions.put({ id: 'a1', status: 'Pending' })
    stack.simulator.actions.put({ id: 'a2', status: 'Pending' })
    await check('machine-actions')

    const one = await follow(nothing.headers.get('location') ?? '')
    const two = await follow(one.headers.get('location') ?? '')
    const end = await follow(two.headers.get('location') ?? '')

    expect([first.status, nothing.status, one.status, two.status, end.status]).toEqual([
      202, 202, 200, 200, 202,
    ])
    expect([one.body.subject, two.body.subject].toSorted()).toEqual(['a1', 'a2'])
    expect([one.headers.get('retry-after'), two.headers.get('retry-after')]).toEqual(['0', '30'])
  })

  test('gets a gap event for deleted events and continues; a reader gets 410', async () => {
    const trigger = (await stack.get('events/trigger')).headers.get('location') ?? ''
    const old = (await stack.get('events')).body.next
    stack.simulator.actions.put({ id: 'a1', status: 'Succeeded' })
    await check('machine-actions')
    const housekeeping = () =>
      fetch(`${stack.host.url}/admin/functions/housekeeping`, {
        method: 'POST',
        headers: { 'x-functions-key': stack.keys.master, 'content-type': 'application/json' },
        body: '{"input":""}',
      })
    stack.clock.advance(29 * 24 * 3_600_000)
    const extended = await follow(trigger)
    stack.clock.advance(2 * 24 * 3_600_000)
    await until(async () => {
      await housekeeping()
      return (await stack.get('status')).body.events['machine-actions'].oldest === 2
    })

    const gap = await follow(trigger)
    const on = await follow(gap.headers.get('location') ?? '')
    const late = await stack.get(`events?after=${old}`)

    expect(extended.status).toBe(200)
    expect([gap.status, gap.body.type]).toEqual([200, 'defender-relay.gap'])
    expect(gap.body.data).toEqual({ stream: 'machine-actions', fromSeq: 1, oldestSeq: 2 })
    expect(on.status).toBe(202)
    expect([late.status, late.body.type]).toEqual([410, 'urn:defender-relay:cursor-expired'])
    expect((await stack.get('events')).status).toBe(200)
  })

  test('waits for the end of an action', async () => {
    stack.simulator.actions.put({ id: 'a1', status: 'InProgress' })
    await check('machine-actions')
    const wait = await stack.get('changes/machine-actions/items/a1/wait?timeoutMinutes=60')
    const location = wait.headers.get('location') ?? ''
    const still = await follow(location)
    stack.simulator.actions.change('a1', { status: 'Failed' })
    await check('machine-actions')

    const done = await follow(location)

    expect([wait.status, still.status, done.status]).toEqual([202, 202, 200])
    expect(done.body).toMatchObject({
      outcome: 'terminal',
      item: { id: 'a1', state: 'Failed', terminal: true },
    })
    expect(done.body.events).toHaveLength(2)
  })

  test('gets the deadline of an action that does not end, and 404 for a guessed or expired ticket', async () => {
    stack.simulator.actions.put({ id: 'a1', status: 'InProgress' })
    await check('machine-actions')
    const wait = await stack.get('changes/machine-actions/items/a1/wait?timeoutMinutes=5')
    const location = wait.headers.get('location') ?? ''
    stack.clock.advance(5 * 60_000)

    const late = await follow(location)
    stack.clock.advance(25 * 3_600_000)
    const ended = await follow(location)
    const guessed = await follow(`${location.slice(0, -1)}${location.endsWith('A') ? 'B' : 'A'}`)

    expect(late.body).toMatchObject({ outcome: 'deadline', item: { state: 'InProgress' } })
    expect([late.status, ended.status, guessed.status]).toEqual([200, 404, 404])
  })

  test('gets its final answer once; a repetition of the first request answers it again', async () => {
    stack.simulator.actions.put({ id: 'a1', status: 'InProgress' })
    await check('machine-actions')
    const path = 'changes/machine-actions/items/a1/wait'
    const location = (await stack.get(path)).headers.get('location') ?? ''
    stack.simulator.actions.change('a1', { status: 'Failed' })
    await check('machine-actions')

    const answers = [await follow(location), await follow(location), await stack.get(path)]

    expect(answers.map(({ status }) => status)).toEqual([200, 404, 200])
    expect(answers[1]?.body.type).toBe('urn:defender-relay:ticket-not-found')
  })

  test('waits for an unknown id with few calls to Defender, and callers with a key are served', async () => {
    const wait = await stack.get('changes/machine-actions/items/nope/wait')
    const location = wait.headers.get('location') ?? ''
    const hourLeft = async () =>
      (await stack.get('status')).body.upstreams.defender.budgets['machine-actions'].hourLeft
    const before = await hourLeft()
    const begunMs = stack.clock.now().getTime()
    const statuses: number[] = []

    for (let n = 0; n < 120; n++) {
      statuses.push((await follow(location)).status)
      stack.clock.advance(500)
    }
    const left = await hourLeft()
    const keyed = await stack.get('changes/machine-actions/items/other')

    expect([wait.status, ...new Set(statuses)]).toEqual([202, 202])
    // The timer polls meanwhile. On a slow machine more than the minute passes.
    const minutes = Math.ceil((stack.clock.now().getTime() - begunMs) / 60_000)
    expect(before - left).toBeLessThanOrEqual(6 + 6 * minutes)
    expect([keyed.status, keyed.body.type]).toEqual([404, 'urn:defender-relay:item-not-found'])
  })

  test('gets nothing any more after all tickets were revoked', async () => {
    const trigger = (await stack.get('events/trigger')).headers.get('location') ?? ''
    const { headers } = await stack.get('changes/machine-actions/items/nope/wait')
    const receiver = stack.simulator.receiver('hook')
    const hook = await stack.post('subscriptions', { callbackUrl: receiver.url })
    const counted = (await stack.get('status')).body.tickets

    const withoutKey = await fetch(`${stack.host.url}/api/tickets/revoke`, { method: 'POST' })
    const revoked = await stack.post('tickets/revoke')
    const late = [await follow(trigger), await follow(headers.get('location') ?? '')]
    const kept = await fetch(hook.headers.get('location') ?? '', { method: 'DELETE' })

    expect(counted).toEqual({ 'events-trigger': 1, 'changes-wait': 1 })
    expect([withoutKey.status, revoked.status, revoked.body]).toEqual([401, 200, { revoked: 3 }])
    expect(late.map(({ status }) => status)).toEqual([404, 404])
    expect(kept.status).toBe(404)
    expect((await stack.get('status')).body.tickets).toEqual({})
    expect((await stack.get('subscriptions')).body.subscriptions).toHaveLength(1)
  })
})
