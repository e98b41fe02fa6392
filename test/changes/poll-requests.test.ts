import { expect, test } from 'vitest'
import { poll } from '../../shared/changes/poll.ts'
import { machineActions } from '../../shared/changes/resources/machine-actions.ts'
import { interceptTables } from '../intercepted-storage.ts'
import { createMemoryTable } from '../memory-table.ts'
import { action, createContext, createItemStore, type Row } from './item-store.ts'
import { createModelClock } from './model.ts'

/** The other fields of a real row. */
const rest = {
  title: null,
  requestorComment: 'Scan asked for by the weekly hygiene job',
  computerDnsName: 'pc-1.contoso.example',
  cancellationRequestor: null,
  cancellationComment: null,
  cancellationDateTimeUtc: null,
  errorHResult: 0,
  scope: 'Quick',
  relatedFileInfo: null,
  commands: [],
  troubleshootInfo: null,
  externalId: null,
  requestSource: 'PublicApi',
  machineId: '0123456789abcdef0123456789abcdef01234567',
}

const ids = Array.from(
  { length: 10_000 },
  (_, n) => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`,
)

/** Ten thousand known open items, and a table that records every request. */
async function prepare() {
  const clock = createModelClock()
  const memory = createMemoryTable('Streams', clock)
  await memory.create()
  const store = createItemStore(machineActions, clock)
  const requests: string[] = []
  const table = interceptTables(() => memory, {
    before: (request) => void requests.push(request.slice(0, 30)),
  })('Streams')
  const openContext = () => createContext({ table, clock, source: store.source })
  const createdAt = clock.now()
  const put = (id: string, status: string): void =>
    store.put({ ...action(id, status, createdAt, clock.now()), ...rest } as Row)
  for (const id of ids) put(id, 'Pending')
  const context = openContext()
  await poll({ ...context })
  /** Lets a minute pass in which one item in twenty changes. */
  const moveOn = (status: string) => {
    clock.advance(1)
    for (const id of ids.filter((_, n) => n % 20 === 0)) put(id, status)
    requests.length = 0
  }
  return { context, openContext, moveOn, requests, clock }
}

test('a poll of 10,000 items of which 500 changed makes at most 24 storage requests cold and 13 warm', async () => {
  const { openContext, moveOn, requests } = await prepare()
  const context = openContext()

  moveOn('InProgress')
  const cold = await poll({ ...context })
  const coldRequests = requests.length
  moveOn('Succeeded')
  // Each invocation has its own context: nothing may depend on it.
  const warm = await poll({ ...context })
  const warmRequests = requests.length

  expect([cold.report.events, warm.report.events]).toEqual([500, 500])
  expect(coldRequests).toBeLessThanOrEqual(24)
  expect(warmRequests).toBeLessThanOrEqual(13)
})

test('a poll without a change makes three storage requests, and so does a wide one', async () => {
  const { context, requests, clock } = await prepare()

  for (const minutes of [1, 60]) {
    clock.advance(minutes)
    requests.length = 0
    await poll({ ...context })

    expect(requests).toHaveLength(3)
  }
})
