import { expect, test } from 'vitest'
import { createAdjustableClock } from '../../local/clock.ts'
import { createGate, LOOK_AGAIN_MS } from '../../shared/app/preflight-gate.ts'
import { UpstreamError } from '../../shared/platform/errors.ts'
import { createUpstreamWatch } from '../../shared/platform/upstream-health.ts'
import { createMemoryTable } from '../memory-table.ts'

const refusal = (status: number) =>
  new UpstreamError({
    upstream: 'defender',
    call: 'GET /x',
    status,
    reason: 'refused',
    retryable: false,
  })

/** A gate before an upstream that answers what is set, and a second process that watches the same one. */
async function setUp() {
  const clock = createAdjustableClock()
  const table = createMemoryTable('Budgets')
  await table.create()
  const counts = { calls: 0, renewals: 0 }
  const upstream: { error: Error | undefined } = { error: undefined }
  const call = async () => {
    counts.calls++
    if (upstream.error) throw upstream.error
    return 'answer'
  }
  const watch = createUpstreamWatch(table, 'defender|investigations', clock)
  const other = createUpstreamWatch(table, 'defender|investigations', clock)
  const renew = async () => {
    counts.renewals++
  }
  const gate = createGate({ watch, renew, clock })
  return {
    clock,
    counts,
    upstream,
    other,
    call,
    ask: () => gate(call).catch((error: unknown) => error),
  }
}

test.each([401, 403])(
  'a %i is told again without a call until a quarter of an hour has passed',
  async (status) => {
    const { clock, counts, upstream, ask } = await setUp()
    upstream.error = refusal(status)

    const first = await ask()
    clock.advance(LOOK_AGAIN_MS - 1)
    const again = await ask()
    const before = { ...counts }
    clock.advance(1)
    await ask()

    expect([first, again]).toEqual([upstream.error, upstream.error])
    expect(before).toEqual({ calls: 1, renewals: 0 })
    expect(counts).toEqual({ calls: 2, renewals: 1 })
  },
)

test('whoever else is let in meanwhile opens it at once, with a new token', async () => {
  const { clock, counts, upstream, other, call, ask } = await setUp()
  upstream.error = refusal(403)
  await ask()
  clock.advance(60_000)
  upstream.error = undefined
  await other.over(call)

  const answer = await ask()

  expect(answer).toBe('answer')
  expect(counts).toEqual({ calls: 3, renewals: 1 })
})

test.each([404, 429, 500])('a %i keeps nobody from asking again', async (status) => {
  const { counts, upstream, ask } = await setUp()
  upstream.error = refusal(status)

  await ask()
  await ask()

  expect(counts).toEqual({ calls: 2, renewals: 0 })
})
