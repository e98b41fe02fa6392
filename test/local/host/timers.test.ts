import { expect, test } from 'vitest'
import { createAdjustableClock } from '../../../local/clock.ts'
import { eventually, startTestHost, type TestHost } from './start.ts'
import { closeGate, countOf, seen } from './witness.ts'

const HOUR_MS = 3_600_000
const master = { 'x-functions-key': 'the-master-key' }

interface TimerInput {
  isPastDue: boolean
  scheduleStatus: { last: string; next: string } | null
}

const runs = () =>
  seen.filter(({ what }) => what === 'hourly').map(({ value }) => value as TimerInput)

/** A clock at a time at which no timer is due while a test runs. */
function clockAt(time: string) {
  return createAdjustableClock(Date.parse(time) - Date.now())
}

async function nextRun(host: TestHost, advanceMs: number) {
  const before = runs().length
  host.clock.advance(advanceMs)
  return eventually(() => runs()[before])
}

test('the first start of a timer only stores its next run', async () => {
  const before = runs().length
  const host = await startTestHost({ clock: clockAt('2026-11-20T10:30:00Z') })

  const run = await nextRun(host, HOUR_MS / 2)

  expect(runs().length - before).toBe(1)
  expect(run.isPastDue).toBe(false)
  expect(run.scheduleStatus?.next).toBe('2026-11-20T11:00:00.000Z')
})

test('runs that were missed while the host was stopped become one run that is past due', async () => {
  const first = await startTestHost({ clock: clockAt('2026-11-20T10:30:00Z') })
  await nextRun(first, HOUR_MS / 2)
  await first.stop()
  const before = runs().length

  const second = await startTestHost({
    storage: first.options.storage,
    clock: clockAt('2026-11-20T15:20:00Z'),
  })
  const late = await eventually(() => runs()[before])
  const usual = await nextRun(second, HOUR_MS)

  expect(late.isPastDue).toBe(true)
  expect(usual.isPastDue).toBe(false)
  expect(usual.scheduleStatus?.next).toBe('2026-11-20T16:00:00.000Z')
  expect(runs().length - before).toBe(2)
})

test('a run that ends while the host stops is not repeated', async () => {
  const first = await startTestHost({ clock: clockAt('2026-11-20T10:30:00Z') })
  const openGate = closeGate('hourly')
  await nextRun(first, HOUR_MS / 2)
  const stopped = first.stop()
  openGate()
  await stopped
  const before = runs().length

  const second = await startTestHost({ storage: first.options.storage, clock: first.clock })
  const run = await nextRun(second, HOUR_MS)

  expect(run.isPastDue).toBe(false)
  expect(runs().length - before).toBe(1)
})

test('a timer never overlaps itself: runs missed during a run become one', async () => {
  const host = await startTestHost({ clock: clockAt('2026-11-20T10:30:00Z') })
  const before = runs().length
  const openGate = closeGate('hourly')

  await nextRun(host, HOUR_MS / 2)
  host.clock.advance(4 * HOUR_MS)
  const during = runs().length - before
  openGate()
  const after = await eventually(() => runs()[before + 1])

  expect(during).toBe(1)
  expect(after.isPastDue).toBe(false)
  expect(runs().length - before).toBe(2)
})

test('runs that the administrator starts may overlap', async () => {
  const host = await startTestHost({ clock: clockAt('2026-11-20T10:30:00Z') })
  const before = runs().length
  const openGate = closeGate('hourly')

  const answers = await Promise.all(
    [1, 2].map(() => host.post('/admin/functions/hourly', { input: '' }, master)),
  )
  await eventually(() => (runs().length - before === 2 ? true : undefined))
  openGate()

  expect(answers.map(({ status }) => status)).toEqual([202, 202])
})

test('a schedule under a minute has no status', async () => {
  const before = countOf('seconds')
  const host = await startTestHost({ clock: clockAt('2026-11-20T10:30:01Z') })

  host.clock.advance(20_000)
  await eventually(() => (countOf('seconds') > before ? true : undefined))

  expect(seen.findLast(({ what }) => what === 'seconds')?.value).toMatchObject({
    scheduleStatus: null,
  })
})

test.each([
  ['no key', {}, '/admin/functions/hourly', { input: '' }, 401],
  ['a wrong key', { 'x-functions-key': 'wrong' }, '/admin/functions/hourly', { input: '' }, 401],
  [
    'the function key',
    { 'x-functions-key': 'the-function-key' },
    '/admin/functions/hourly',
    { input: '' },
    403,
  ],
  ['no body', master, '/admin/functions/hourly', undefined, 400],
  ['an unknown name', master, '/admin/functions/nobody', { input: '' }, 404],
  ['a function that is no timer', master, '/admin/functions/echo', { input: '' }, 400],
  ['a time after all dates', master, '/admin/clock', { advanceSeconds: 1e308 }, 400],
  ['another admin route', master, '/admin/host/restart', { input: '' }, 404],
])('an admin call with %s is refused', async (_what, headers, path, body, status) => {
  const host = await startTestHost({ clock: clockAt('2026-11-20T10:30:00Z') })

  const answer = await host.post(path, body, headers as Record<string, string>)

  expect(answer.status).toBe(status)
})

test('the administrator moves the clock', async () => {
  const host = await startTestHost({ clock: clockAt('2026-11-20T10:30:00Z') })
  const before = runs().length

  const answer = await host.post('/admin/clock', { advanceSeconds: 1800 }, master)
  await eventually(() => runs()[before])

  expect(answer.status).toBe(200)
})
