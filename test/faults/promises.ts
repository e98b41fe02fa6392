import { compareSnapshot } from '../../local/compare-snapshot.ts'
import type { ExpectedDevice } from '../../local/simulator/expected-device.ts'
import { AV_HEALTH } from '../../shared/av-health/export.ts'
import { createFeed } from '../../shared/events/feed/feed.ts'
import type { Run } from '../../shared/exports/run-record.ts'
import { createRunLedger } from '../../shared/exports/run-store.ts'
import type { Row } from '../../shared/platform/table.ts'
import { DAY_MS } from '../../shared/platform/time.ts'
import { brokenLedger } from '../exports/run-promises.ts'
import { changesBetween, changeText, type DeviceChange } from './device-changes.ts'
import type { World } from './world.ts'

const STREAMS = ['machine-actions', 'investigations', AV_HEALTH]

export const ledgerOf = ({ storage }: World) => createRunLedger(storage.table('Exports'), AV_HEALTH)

/** Every broken promise after the faults have ended and the schedules have gone on, in words; empty when all hold. */
export async function brokenPromises(world: World): Promise<string[]> {
  return [
    ...(await brokenSnapshots(world)),
    ...(await brokenFeed(world)),
    ...(await brokenDeliveries(world)),
    ...(await leftovers(world)),
    ...overdrawn(world),
    ...world.late,
  ]
}

/** Every published snapshot of the ledger is one whole fleet of the upstream, and the ledger agrees with it. */
async function brokenSnapshots(world: World): Promise<string[]> {
  const { storage } = world
  if (!(await storage.names()).includes('Exports')) return []
  const names = async () =>
    (await storage.names()).filter((name) => name === 'Exports' || name.startsWith('AvHealth'))
  return brokenLedger({ tables: storage.table, names }, { runs: ledgerOf(world) }, (run) =>
    differencesOf(world, run),
  )
}

/** The snapshot that readers see is one whole fleet, whatever goes on. */
export async function brokenCurrent(world: World): Promise<string[]> {
  const runs = ledgerOf(world)
  const current = await runs.current()
  const run = current && (await runs.run(current.runId))
  return run ? differencesOf(world, run) : []
}

/** How a snapshot differs from the fleet that its run has imported. */
const differencesOf = async (world: World, run: Run) =>
  (await sourceOf(world, run)).differences.map((difference) => `${run.runId}: ${difference}`)

/** The devices that a run has imported, and how its snapshot differs from them. */
async function sourceOf({ storage, fleets }: World, run: Run) {
  const method = run.method ?? 'files'
  const all: { devices: ExpectedDevice[]; differences: string[] }[] = []
  for (const fleet of fleets) {
    const isOther = method === 'files' && !isSameTime(fleet.options.generatedTime, run)
    if (isOther) continue
    const devices = [...fleet.truth(method)]
    const differences = run.snapshot
      ? await compareSnapshot(storage.table(run.snapshot), run.buckets, devices, method)
      : []
    if (differences.length === 0) return { devices, differences }
    all.push({ devices, differences: differences.slice(0, 3) })
  }
  const [fewest] = all.sort((a, b) => a.differences.length - b.differences.length)
  return fewest ?? { devices: [], differences: ['it is no fleet of the upstream'] }
}

const isSameTime = (time: string, { generatedTime }: Run) =>
  generatedTime === null || Date.parse(time) === Date.parse(generatedTime)

/** The events of all streams. */
export async function eventsOf({ storage }: World) {
  const feed = createFeed(storage.table('Streams'))
  const all = STREAMS.map((stream) => feed.events(stream, 0, 1000))
  return (await Promise.all(all)).flat()
}

/**
 * Each change of the upstream is one event, each difference between two published exports is one and is in the history of
 * its device, and each published run is one; nothing else is.
 */
async function brokenFeed(world: World): Promise<string[]> {
  const events = await eventsOf(world)
  const emitted = events.map(({ type, subject, data }) => {
    if (type.endsWith('snapshot.published')) return `${subject} published`
    if (type.endsWith('changes.summarized')) return `${subject} summarized`
    if (!type.includes('.device.')) return `${subject} ${data.to}`
    const kind = type.split('.').at(-1)
    return `${data.runId} ${changeText({ ...data, machineId: subject, kind } as DeviceChange)}`
  })
  const runs = await compared(world)
  const stored = runs.filter(({ run }) => isStored(world, new Date(run.endedAt ?? '')))
  const changed = stored.flatMap(({ run, changes, isSameMethod }) =>
    changes.filter((one) => isSameMethod || !isOfFleet(one)).map((one) => ({ run, ...one })),
  )
  const expected = [
    ...world.changes,
    ...stored.map(({ run }) => `${run.runId} published`),
    ...stored.flatMap(({ run, changes, isSameMethod }) =>
      !isSameMethod && changes.some(isOfFleet) ? `${run.runId} summarized` : [],
    ),
    ...changed.map((one) => `${one.run.runId} ${changeText(one)}`),
  ]
  const names = stored.map(({ run }) => run.runId)
  const histories = (await allRows(world, 'AvHealthDevices')).flatMap(({ rowKey, columns }) => {
    const { type, runId, kind } = columns
    const isDue = type === 'history' && names.includes(String(runId))
    return isDue ? `${runId} ${rowKey.split('|')[0]} ${kind}` : []
  })
  const due = changed.map(({ run, machineId, kind }) => `${run.runId} ${machineId} ${kind}`)
  return [
    ...difference(expected, emitted).map((one) => `no event says ${one}`),
    ...difference(emitted, expected).map((one) => `an event too many says ${one}`),
    ...difference(due, histories).map((one) => `no history says ${one}`),
    ...difference(histories, due).map((one) => `a history says too much: ${one}`),
    ...(new Set(events.map(({ id }) => id)).size < events.length ? ['two events have one id'] : []),
    ...stored.flatMap(({ run, changes }) => brokenCounts(run, changes)),
  ]
}

/** The published runs, the oldest first, each with what its export differs by from the one before. */
async function compared(world: World) {
  const all = (await ledgerOf(world).runs(100)).reverse()
  const found: { run: Run; changes: DeviceChange[]; isSameMethod: boolean }[] = []
  const earlier = new Set<string>()
  let before: { devices: ExpectedDevice[]; at: string; method: Run['method'] } | undefined
  for (const run of all.filter(({ state }) => state === 'published')) {
    const { devices } = await sourceOf(world, run)
    const { method } = run
    const after = { devices, at: run.generatedTime ?? run.startedAt, method }
    const isKnown = before && run.changes?.state === 'known'
    const changes = isKnown && before ? changesBetween(before, after, earlier) : []
    found.push({ run, changes, isSameMethod: before?.method === method })
    for (const { machineId } of devices) earlier.add(machineId)
    before = after
  }
  return found
}

/** Whether it is a device that came or went: between two methods such changes are counted, and nothing else. */
const isOfFleet = ({ kind }: DeviceChange) => /^(?:appeared|disappeared|returned)$/.test(kind)

/** A run counts its changes by kind. */
function brokenCounts({ runId, changes: counted }: Run, changes: DeviceChange[]): string[] {
  const counts = Object.entries(Object.groupBy(changes, ({ kind }) => kind))
  const [due, found] = [
    counts.map(([kind, all]) => `${kind} ${all?.length}`),
    Object.entries(counted?.counts ?? {}).map(([kind, count]) => `${kind} ${count}`),
  ].map((one) => one.sort().join())
  return due === found ? [] : [`${runId} counts ${found}, and it is ${due}`]
}

/** Whether the events of a time are stored so long. */
const isStored = ({ clock }: World, time: Date) =>
  clock.now().getTime() - time.getTime() < 30 * DAY_MS

/** What the first list has and the second has not, or less often. */
function difference(some: string[], others: string[]): string[] {
  const left = [...others]
  return some.filter((one) => {
    const at = left.indexOf(one)
    if (at >= 0) left.splice(at, 1)
    return at < 0
  })
}

/** Every event has reached the receiver under its id, nothing else has, and no delivery is left. */
async function brokenDeliveries(world: World): Promise<string[]> {
  const { storage, subscribers, simulator } = world
  const events = await eventsOf(world)
  const broken: string[] = []
  for (const { name, id, since } of subscribers) {
    const due = events.filter(
      ({ sequence, type }) => Number(sequence) > (since[streamOf(type)] ?? 0),
    )
    const { deliveries } = simulator.receiver(name)
    const accepted = new Set(
      simulator
        .receiver(name)
        .unique()
        .map((one) => one.id),
    )
    for (const event of due)
      if (!accepted.has(event.id))
        broken.push(`the receiver never got ${event.subject} ${event.type}`)
    for (const one of deliveries) {
      const event = events.find((known) => known.id === one.id)
      if (!isStored(world, one.at)) continue
      if (!event || JSON.stringify(event) !== JSON.stringify(one.body))
        broken.push(`the receiver got ${one.id}, which is not in the feed in this form`)
    }
    const rows = await allRows(world, 'Deliveries')
    const own = rows.filter(({ partitionKey }) => partitionKey === id)
    if (own.length !== due.length) broken.push(`${own.length} rows for ${due.length} deliveries`)
    const open = own.filter(({ columns }) => columns.state !== 'delivered')
    if (open.length > 0) broken.push(`${open.length} rows are not delivered: ${open[0]?.rowKey}`)
  }
  for (const { columns, rowKey } of await allRows(world, 'Subscriptions')) {
    const { sendUntil, state } = columns
    if (sendUntil && Date.parse(String(sendUntil)) > world.clock.now().getTime())
      broken.push(`${rowKey} has a lease until ${sendUntil}`)
    if (state !== undefined && state !== 'active') broken.push(`a subscription is ${state}`)
  }
  for (const queue of world.queues()) {
    const texts = await storage.waiting(queue)
    if (texts.length > 0) broken.push(`${queue} holds ${texts.length} messages: ${texts[0]}`)
  }
  return broken
}

const streamOf = (type: string): string =>
  STREAMS.find((stream) => type.includes(stream.replace(/s$/, ''))) ?? ''

/** No secret of the upstream is stored or logged, and none was sent to a host that it is not for. */
async function leftovers(world: World): Promise<string[]> {
  const { storage, simulator, lines } = world
  const secrets = [...simulator.issuedSecrets]
  const broken: string[] = simulator.leaks.map((path) => `a token was sent to ${path}`)
  const hasSecret = (text: string) => secrets.some((secret) => text.includes(secret))
  for (const name of await storage.names())
    for (const { rowKey, columns } of await allRows(world, name))
      if (hasSecret(JSON.stringify(columns)))
        broken.push(`row ${rowKey} of ${name} holds a link or a token`)
  for (const queue of world.queues())
    if (hasSecret((await storage.waiting(queue)).join())) broken.push(`${queue} holds a secret`)
  if (hasSecret(lines.join('\n'))) broken.push('a line of the log holds a secret')
  return broken
}

/** The upstream has never answered that there were too many calls, unless a fault made it. */
function overdrawn({ network, forced }: World): string[] {
  const refused = network.answers.filter(
    ({ step, status }) => status === 429 && !step.endsWith('receiver'),
  ).length
  return refused > forced.throttles ? [`the upstream refused ${refused} calls as too many`] : []
}

export async function allRows({ storage }: World, name: string): Promise<Row[]> {
  return (await storage.names()).includes(name) ? Array.fromAsync(storage.table(name).list({})) : []
}
