import { announceSnapshot } from '../../../shared/av-health/events.ts'
import { AV_HEALTH } from '../../../shared/av-health/export.ts'
import { cutoffsAt, findTransitions, readState } from '../../../shared/av-health/transitions.ts'
import { poll } from '../../../shared/changes/poll.ts'
import type { PollContext } from '../../../shared/changes/poll-state.ts'
import type { Resource } from '../../../shared/changes/resource.ts'
import { resources } from '../../../shared/changes/resources/index.ts'
import type { EventsDeps } from '../../../shared/events/deps.ts'
import type { CloudEvent } from '../../../shared/events/event.ts'
import { createFeed } from '../../../shared/events/feed/feed.ts'
import { OPERATIONS } from '../../../shared/events/filter.ts'
import {
  emitDeadLetters,
  emitExpired,
  emitHealth,
} from '../../../shared/events/subscriptions/health.ts'
import { healthy, type Subscription } from '../../../shared/events/subscriptions/subscription.ts'
import { changeRow } from '../../../shared/exports/fleet-rows.ts'
import type { Columns } from '../../../shared/platform/table.ts'
import { HOUR_MS, MINUTE_MS } from '../../../shared/platform/time.ts'
import { createSampleTable } from './sample-table.ts'

const startMs = Date.parse('2026-11-30T08:00:00Z')
const at = (ms: number) => new Date(startMs + ms).toISOString()
const DEVICE = {
  machineId: '1e5bc9d7e413ddd7902c2932e418702b84d0cc07',
  computerDnsName: 'srv-07.contoso.com',
}
const ALERT = 'da637472900382838869_1364969609'

/** Events of every type, made by the code that makes them in the app. */
export async function makeSamples(): Promise<CloudEvent[]> {
  const clock = { ms: startMs, now: () => new Date(clock.ms), sleep: async () => {} }
  const table = createSampleTable(clock)
  const streams = [...resources.map(({ name }) => name), AV_HEALTH, OPERATIONS]
  // Another epoch would give other ids.
  for (const partitionKey of streams)
    await table.transact([
      {
        kind: 'insert',
        partitionKey,
        rowKey: 'head',
        columns: { next: 1, epoch: '0f1e2d3c4b5a6978', state: '' },
      },
    ])
  const deps = {
    feed: createFeed(table),
    clock,
    log: { info() {}, warn() {}, error() {} },
    trace: {},
  }
  for (const resource of resources) {
    clock.ms = startMs
    await pollItems(resource, deps)
  }
  clock.ms = startMs
  await publish(deps)
  await emitOperations(deps)
  const all = await Promise.all(streams.map((stream) => deps.feed.events(stream, 0, 1000)))
  // The first of each type.
  return [
    ...new Map(
      all
        .flat()
        .reverse()
        .map((event) => [event.type, event]),
    ).values(),
  ].reverse()
}

type Deps = Pick<EventsDeps, 'log' | 'trace'> & {
  feed: ReturnType<typeof createFeed>
  clock: EventsDeps['clock'] & { ms: number }
}

const rawItems: Record<string, (id: number, state: string, endMs?: number) => object> = {
  'machine-actions': (id, status, endMs) => ({
    id: `5382f7ea-7557-4ab7-9782-d50480024a0${id}`,
    type: 'Isolate',
    scope: 'Full',
    requestor: 'analyst@contoso.com',
    requestorComment: 'Ransomware on the file share',
    requestSource: 'PublicApi',
    status,
    ...DEVICE,
    creationDateTimeUtc: at(-MINUTE_MS),
    lastUpdateDateTimeUtc: at(endMs ?? -MINUTE_MS),
    errorHResult: 0,
  }),
  investigations: (id, state, endMs) => ({
    id: String(id),
    startTime: at(-MINUTE_MS),
    endTime: endMs === undefined ? null : at(endMs),
    state,
    cancelledBy: null,
    statusDetails: null,
    ...DEVICE,
    triggeringAlertId: ALERT,
  }),
}

/** One item appears and ends, one is open for too long, one goes. */
async function pollItems(resource: Resource, { clock, ...deps }: Deps) {
  const make = rawItems[resource.name]
  const [open = ''] = resource.openStates.slice(1)
  const [end = ''] = resource.terminalStates
  if (!make) throw new Error(`there is no sample of ${resource.name}`)
  const items = new Map([1, 2].map((id) => [id, make(id, open)]))
  const context: PollContext = {
    ...{ resource, clock, memory: {}, overdueHours: 73, emitBaseline: true },
    ...deps,
    source: {
      async *list() {
        yield { rows: [...items.values()], date: clock.now() }
      },
      get: async (id) => [...items.values()].find((one) => (one as { id: string }).id === id),
    },
    tenantId: async () => '3c4d5e6f-1122-4a4b-8c5d-5e6f70819243',
    nextDue: () => null,
    track: (call) => call(),
  }
  await poll(context)
  clock.ms += MINUTE_MS
  items.set(1, make(1, end, MINUTE_MS))
  await poll(context)
  clock.ms += 200 * HOUR_MS
  await poll(context)
  items.delete(2)
  for (let n = 0; n < 4; n++) {
    clock.ms += 20 * MINUTE_MS
    await poll(context)
  }
}

/** A snapshot with every transition, of which renamed devices are only counted. */
async function publish({ feed, ...deps }: Deps) {
  const thresholds = { signatureDays: 7, scanDays: 14, notSeenDays: 7 }
  const read = (columns: Columns) => readState(columns, cutoffsAt(at(0), thresholds))
  const good = {
    ...{
      avModeName: 'active',
      computerDnsName: DEVICE.computerDnsName,
      osPlatform: 'WindowsServer2022',
    },
    ...{
      osVersion: '10.0.20348.2113',
      rbacGroupId: '17',
      rbacGroupName: 'Servers',
      lastSeenTime: at(-HOUR_MS),
    },
    ...{ avIsSignatureUpToDate: 'true', avIsEngineUpToDate: 'true', avIsPlatformUpToDate: 'true' },
    ...{
      avSignaturePublishTime: at(-5 * HOUR_MS),
      quickScanResult: 'Completed',
      quickScanTime: at(-9 * HOUR_MS),
    },
    ...{ fullScanResult: 'Completed', fullScanTime: at(-90 * HOUR_MS) },
  }
  const bad = {
    ...{
      ...good,
      avModeName: 'passive',
      avIsSignatureUpToDate: 'false',
      avIsEngineUpToDate: 'false',
    },
    ...{ avIsPlatformUpToDate: 'false', quickScanResult: 'Failed', fullScanResult: 'Failed' },
    ...{ lastSeenTime: at(-300 * HOUR_MS), rbacGroupId: '9', rbacGroupName: 'Old servers' },
    ...{ osVersion: '10.0.20348.1906', computerDnsName: 'srv-7.contoso.com' },
  }
  const unscanned = { ...good, quickScanTime: at(-900 * HOUR_MS), fullScanTime: at(-900 * HOUR_MS) }
  const { avModeName: _, ...unknown } = good
  const pairs = [
    ...[
      [good, undefined],
      [undefined, good],
      [good, bad],
      [bad, good],
    ],
    ...[
      [good, unscanned],
      [unscanned, good],
      [good, unknown],
      [unknown, good],
    ],
  ]
  const transitions = pairs.flatMap(([before, after]) =>
    findTransitions(before && read(before), after && read(after), {
      isKnown: false,
      keepsThresholds: true,
    }),
  )
  const [, appeared] = transitions
  const found = new Map(transitions.map((one) => [String(one.kind), one]))
  if (appeared) found.set('returned', { ...appeared, kind: 'returned' })
  const changes = createSampleTable(deps.clock)
  const runs = [
    {
      runId: '20261130074500-6b1f',
      previousRunId: '20261129194500-02ce',
      countedOnly: ['renamed'],
    },
    // What is only counted has no event.
    { runId: '20261130194500-77aa', previousRunId: '20261130074500-6b1f', countedOnly: [] },
  ]
  for (const { runId, previousRunId, countedOnly } of runs) {
    for (const [kind, { from, to }] of found) {
      const columns = changeRow.toColumns({ kind, name: DEVICE.computerDnsName, from, to })
      const key = { partitionKey: `${runId}|00`, rowKey: `${DEVICE.machineId}|${kind}` }
      await changes.transact([{ kind: 'insert', ...key, columns }])
    }
    const fleet = { tables: { changes: 'changes' } }
    await announceSnapshot({
      feed,
      source: '/tenants/3c4d5e6f-1122-4a4b-8c5d-5e6f70819243/defender/av-health',
      engine: { ...deps, kind: { fleet }, table: () => changes } as never,
      run: {
        ...{ runId, generatedTime: at(-HOUR_MS), method: 'files', devicesBefore: 48_195 },
        ...{ unreadable: {}, listed: 240, imported: 240, failed: 0, parsed: 48_210 },
        ...{ written: 48_210, duplicates: 0, rejected: 0, comparison: { slices: 1, at: at(0) } },
        changes: {
          ...{ state: 'known', reason: null, previousRunId, countedOnly },
          ...{ counts: { appeared: 15, renamed: 6000 }, newThresholds: false, newMethod: false },
        },
      } as never,
    })
  }
}

/** A subscription fails, is disabled, recovers, has dead letters and ends. */
async function emitOperations(deps: Deps) {
  const one: Subscription = {
    ...healthy,
    ...{
      id: 'sub_0f1e2d3c4b5a69788796',
      urlDigest: '',
      callbackHost: 'hooks.contoso.com',
      headerNames: [],
    },
    ...{
      audience: null,
      sink: null,
      description: null,
      filter: {},
      contentType: 'application/json',
      from: {},
    },
    ...{
      createdAt: at(0),
      expiresAt: at(9 * HOUR_MS),
      deletionDigests: [],
      lastDeliveredAt: at(3 * HOUR_MS),
    },
    ...{ announced: null, deadLetteredUntil: null, wakeAt: null, replayUntil: null },
    ...{ consecutiveFailures: 4, failingSince: at(0) },
    lastFailure: { at: at(6 * MINUTE_MS), status: 503, reason: 'refused' },
  }
  const events = deps as unknown as EventsDeps
  const failing = await emitHealth(events, one, { ...one, state: 'failing' })
  await emitHealth(events, one, { ...failing, state: 'active', failingSince: null })
  await emitHealth(events, one, {
    ...one,
    state: 'disabled',
    disabledReason: 'the receiver answered 410',
  })
  await emitDeadLetters(events, one, new Map([[at(2 * HOUR_MS), 3]]))
  await emitExpired(events, one, { pending: 2, dead: 3 })
}
