import { RestError } from '@azure/data-tables'
import { expect, test } from 'vitest'
import { createTables } from '../../shared/platform/azure-table.ts'
import { bounds } from '../../shared/platform/body.ts'
import { toProblem } from '../../shared/platform/error-responses.ts'
import { createQueues } from '../../shared/platform/queue.ts'
import { limitBy, silentStorage } from '../silent-storage.ts'
import { createStillClock } from './still-clock.ts'

const { timeoutMs } = bounds.storage

const verbs = [
  'get',
  'getDated',
  'page',
  'list',
  'transact',
  'insert',
  'create',
  'drop',
  'send',
  'create queue',
] as const

/** Makes one call to an account that never answers: its outcome just before the limit and at the limit. */
async function outcomesOf(verb: (typeof verbs)[number], limitOf = limitBy) {
  const storage = await silentStorage()
  const { connectionString } = storage
  const clock = createStillClock()
  const options = { limit: limitOf(clock) }
  const table = createTables({ connectionString }, options)('Things')
  const batch = table.openBatch('p')
  batch.insert('r', '')
  const queue = createQueues({ connectionString }, options)('things')
  const calls = {
    get: () => table.get('p', 'r'),
    getDated: () => table.getDated('p', 'r'),
    page: () => table.page({}),
    list: () => Array.fromAsync(table.list({})),
    transact: () =>
      table.transact([{ kind: 'insert', partitionKey: 'p', rowKey: 'r', columns: {} }]),
    insert: () => table.insert(batch),
    create: () => table.create(),
    drop: () => table.drop(),
    send: () => queue.send({}),
    'create queue': () => queue.create(),
  }
  let outcome: unknown = 'waiting'
  calls[verb]().then(
    () => {
      outcome = 'answered'
    },
    (error: unknown) => {
      outcome = error
    },
  )
  while (storage.unanswered === 0) await new Promise((resolve) => setTimeout(resolve, 5))

  await clock.advance(timeoutMs - 1)
  const before = outcome
  await clock.advance(1)
  return { before, after: outcome }
}

test.each(verbs)(
  '%s fails when the account gives no answer within its time, and not before',
  async (verb) => {
    const { before, after } = await outcomesOf(verb)

    expect(before).toBe('waiting')
    expect(after).toBeInstanceOf(RestError)
    expect(after).toMatchObject({
      code: 'StorageTimeout',
      message: expect.stringMatching(
        /^the storage account gave no answer within 30 s: .* things$/i,
      ),
    })
    expect(toProblem(after, 'i', 'c')).toMatchObject({
      status: 503,
      headers: { 'retry-after': '30' },
    })
  },
)

test.each(verbs)('a time limit that was removed from %s is found', async (verb) => {
  const { after } = await outcomesOf(verb, () => () => new AbortController().signal)

  expect(after).toBe('waiting')
})

test.each([
  [503, 'ServerBusy', 'does not answer'],
  [403, 'AuthorizationPermissionMismatch', 'refuses the app'],
])(
  'an account that answers %i is a 503 that names it, with Retry-After',
  (statusCode, code, words) => {
    const answer = toProblem(new RestError('the text', { statusCode, code }), 'i', 'c')

    expect(answer).toMatchObject({ status: 503, headers: { 'retry-after': '30' } })
    const body = JSON.parse(String(answer?.body))
    expect(body).toMatchObject({
      type: 'urn:defender-relay:storage-unavailable',
      title: expect.stringContaining(words),
      detail: expect.stringContaining(`RELAY_STORAGE: ${code}`),
    })
  },
)

test('an answer of storage to a wrong request is still a bug', () => {
  expect(
    toProblem(new RestError('x', { statusCode: 400, code: 'InvalidInput' }), 'i', 'c'),
  ).toBeUndefined()
})
