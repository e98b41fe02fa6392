import { expect, test } from 'vitest'
import {
  ending,
  eventually,
  startOrchestration,
  startTestHost,
  statusOf,
  type TestHost,
} from './start.ts'
import { closeGate } from './witness.ts'

async function client(host: TestHost, method: string, id = '', body?: unknown) {
  const response = await host.post(`/api/client/${method}/${id}`, body)
  return { status: response.status, text: await response.text() }
}

async function isRunning(host: TestHost, id: string) {
  await eventually(async () =>
    (await statusOf(host, id)).runtimeStatus === 'Running' ? true : undefined,
  )
}

test('starting with the id of a live instance is a 409, with that of an ended one starts it again', async () => {
  const host = await startTestHost()
  await startOrchestration(host, 'sleeper', 'single')
  await isRunning(host, 'single')
  await startOrchestration(host, 'one', 'ended', 1)
  await ending(host, 'ended')

  const second = await startOrchestration(host, 'sleeper', 'single')
  const again = await startOrchestration(host, 'one', 'ended', 50)
  const status = await eventually(async () => {
    const now = await statusOf(host, 'ended')
    return now.output === 100 ? now : undefined
  })

  expect(second).toContain(
    'unexpected status code: 409. Details: "An Orchestration instance with the status Running already exists."',
  )
  expect(again).toBe('{"id":"ended"}')
  expect(status.runtimeStatus).toBe('Completed')
})

test('the status of an unknown id is an error with HTTP 404', async () => {
  const host = await startTestHost()

  const { text } = await client(host, 'status', 'nobody')

  expect(text).toMatch(/^Error: DurableClient error: .*HTTP 404/)
})

test('terminating a parent leaves its children running', async () => {
  const host = await startTestHost()
  await startOrchestration(host, 'parent', 'gone', { children: 2, name: 'sleeper' })
  await isRunning(host, 'gone')
  await isRunning(host, 'gone-1')

  await client(host, 'terminate', 'gone')
  const parent = await statusOf(host, 'gone')
  const child = await statusOf(host, 'gone-1')

  expect(parent).toMatchObject({ runtimeStatus: 'Terminated', output: 'enough' })
  expect(child.runtimeStatus).toBe('Running')
})

test('the extension answers 202 while an instance runs, 200 when it has ended, 410 to a call that would change it', async () => {
  const host = await startTestHost()
  const links = JSON.parse((await client(host, 'links', 'watched')).text)
  const at = (name: string) => links[name].replace('http://localhost:7071', host.url)
  await startOrchestration(host, 'sleeper', 'watched')

  const running = await fetch(at('statusQueryGetUri'))
  host.clock.advance(31 * 86_400_000)
  await ending(host, 'watched')
  const ended = await fetch(at('statusQueryGetUri'))
  const terminated = await fetch(at('terminatePostUri'), { method: 'POST' })
  const raised = await fetch(at('sendEventPostUri'), { method: 'POST' })
  const withoutKey = await fetch(at('statusQueryGetUri').split('?')[0])

  expect([running.status, running.headers.get('retry-after')]).toEqual([202, '5'])
  expect(ended.status).toBe(200)
  expect([terminated.status, raised.status]).toEqual([410, 410])
  expect(withoutKey.status).toBe(401)
})

test('a failed instance answers 200 unless the caller requests an error', async () => {
  const host = await startTestHost()
  const { statusQueryGetUri } = JSON.parse((await client(host, 'links', 'broken')).text)
  await startOrchestration(host, 'fails', 'broken')
  await ending(host, 'broken')
  const url = statusQueryGetUri.replace('http://localhost:7071', host.url)

  const usual = await fetch(url)
  const asked = await fetch(`${url}&returnInternalServerErrorOnFailure=true`)

  expect([usual.status, asked.status]).toEqual([200, 500])
})

test('an unsupported action on an instance is refused with a sentence', async () => {
  const host = await startTestHost()
  await startOrchestration(host, 'sleeper', 'deaf')
  await isRunning(host, 'deaf')

  const { text } = await client(host, 'raise', 'deaf')

  expect(text).toContain('501. Details: "The embedded host does not support raiseEvent."')
})

test('a purge by filter needs a from-time and without statuses takes running instances too', async () => {
  const host = await startTestHost()
  const from = new Date(host.clock.now().getTime() - 60_000)
  await startOrchestration(host, 'sleeper', 'running')
  await startOrchestration(host, 'one', 'done', 1)
  await ending(host, 'done')
  await isRunning(host, 'running')

  const blind = await client(host, 'purge-by', '', { statuses: ['Completed'] })
  const terminal = await client(host, 'purge-by', '', {
    from,
    statuses: ['Completed', 'Failed', 'Terminated'],
  })
  const survivor = await statusOf(host, 'running')
  const all = await client(host, 'purge-by', '', { from })
  const nothing = await client(host, 'purge-by', '', { from })

  expect(blind.text).toContain('400')
  expect(terminal.text).toBe('{"instancesDeleted":1}')
  expect(survivor.runtimeStatus).toBe('Running')
  expect(all.text).toBe('{"instancesDeleted":1}')
  expect(nothing.text).toBe('{"instancesDeleted":0}')
  expect((await client(host, 'status', 'running')).text).toContain('HTTP 404')
})

test('an instance is purged once; the second time there is none', async () => {
  const host = await startTestHost()
  await startOrchestration(host, 'one', 'once', 1)
  await ending(host, 'once')

  const first = await client(host, 'purge', 'once')
  const second = await client(host, 'purge', 'once')

  expect([first.text, second.text]).toEqual(['{"instancesDeleted":1}', '{"instancesDeleted":0}'])
})

test('the list of instances comes in pages', async () => {
  const host = await startTestHost()
  await startOrchestration(host, 'parent', 'crowd', { children: 104, name: 'one' })
  await ending(host, 'crowd')

  const { text } = await client(host, 'list')

  expect(JSON.parse(text)).toHaveLength(105)
})

test('a purged instance stays purged when its activity ends later', async () => {
  const host = await startTestHost()
  const openGate = closeGate('wait')
  await startOrchestration(host, 'waits', 'purged', 'x')
  await isRunning(host, 'purged')

  await client(host, 'purge', 'purged')
  openGate()
  await startOrchestration(host, 'one', 'other', 1)
  await ending(host, 'other')

  expect((await client(host, 'status', 'purged')).text).toContain('HTTP 404')
})
