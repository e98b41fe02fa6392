import { eventsOf, ledgerOf } from './promises.ts'
import { HOUR, MINUTE, type World } from './world.ts'

/** What the faults hit: some work, what must be there before it, and how things go on after it. */
export interface Subject {
  name: string
  /** Settings of the app. */
  settings?: Record<string, string>
  prepare(world: World): Promise<void>
  work(world: World): Promise<void>
  /** The schedules go on, without faults. */
  goOn(world: World): Promise<void>
  /** What came out, in words without ids and times. */
  outcome(world: World): Promise<string>
}

const DAY = 24 * HOUR
const ACTIONS = 'machine-actions'

/** A subscriber, and a snapshot of the first fleet; then the second one is offered. */
async function prepareExport(world: World): Promise<void> {
  await world.subscribe('receiver')
  await world.exportNow()
  await world.clock.advance(6 * HOUR)
  world.setFleet(world.fleetAt(6))
}

/** The run ends or is taken over; twelve hours later a third fleet is imported. */
async function goOnExporting(world: World): Promise<void> {
  await goOnUntilOver(world)
  await world.clock.advance(12 * HOUR)
  world.setFleet(world.fleetAt(18))
  await world.exportNow()
  await goOnUntilOver(world)
}

async function goOnUntilOver(world: World): Promise<void> {
  for (let passes = 0; passes < 8; passes++) {
    await world.pass(2 * MINUTE)
    const isActive = await ledgerOf(world).active()
    const waiting = await Promise.all(world.queues().map((queue) => world.storage.waiting(queue)))
    if (!isActive && waiting.flat().length === 0) return
  }
  world.late.push('after 16 minutes a run is still active, or a message waits')
}

const plain = (text: string) =>
  text
    .replace(/\b\d{14}[a-z]{4}\b/g, '…')
    .replace(/http\S+/g, '…')
    .replace(/OrgId\S+/g, '…')

/** What became of the run that the faults have hit, which is the second one. */
async function exportOutcome(world: World): Promise<string> {
  const runs = (await ledgerOf(world).runs(100)).reverse()
  const [, hit, ...later] = runs
  if (!hit) return 'no run'
  const parts = [
    hit.reason === null ? hit.state : `${hit.state}: ${plain(hit.reason)}`,
    hit.epoch > 1 ? 'by another executor' : '',
    hit.changes?.state === 'unknown' ? 'without changes' : '',
    later.length > 1 ? 'started again' : '',
  ]
  return parts.filter(Boolean).join(', ')
}

const exporting = {
  prepare: prepareExport,
  work: (world: World) => world.exportNow(),
  goOn: goOnExporting,
  outcome: exportOutcome,
}

/** What the work said when it failed, and how often the receiver got the events. */
async function deliveryOutcome(world: World): Promise<string> {
  const { deliveries } = world.simulator.receiver('receiver')
  const events = await eventsOf(world)
  const again = deliveries.length - events.length
  const failed = world.lines.find((line) => line.includes('poll failed')) ?? ''
  const reason = /"reason":"((?:[^"\\]|\\.)*)"/.exec(failed)?.[1]
  const posted = again === 0 ? 'each posted once' : `${again} posted again`
  return [reason && `a poll failed: ${plain(reason)}`, `${events.length} events, ${posted}`]
    .filter(Boolean)
    .join('; ')
}

/** The first poll makes no event; a0 is older than what a poll lists, a1 and a2 get events. */
async function preparePolls(world: World): Promise<void> {
  const { actions } = world.simulator
  await world.subscribe('receiver')
  actions.put({ id: 'a0', status: 'Pending' })
  await world.pass(MINUTE, [ACTIONS])
  await world.clock.advance(2 * HOUR)
  actions.put({ id: 'a1', status: 'Pending' })
  actions.put({ id: 'a2', status: 'InProgress' })
  world.changes.push('a1 Pending', 'a2 InProgress')
}

/** All subjects. A new one is one more member. */
export const subjects: Subject[] = [
  { name: 'export by files', ...exporting },
  { name: 'export by pages', settings: { AV_HEALTH_METHOD: 'json' }, ...exporting },
  {
    name: 'renewal of links',
    ...exporting,
    async work(world) {
      world.simulator.setFaults({ shortLivedLinks: 1 })
      await world.exportNow()
    },
  },
  {
    name: 'take-over',
    ...exporting,
    async work(world) {
      await world.timer((one) => one.startExport())
      // The instance of the durable engine is lost with all that it has done.
      world.executions.clear()
      await world.clock.advance(2 * MINUTE)
      await world.timer((one) => one.resumeExports())
      await world.execute()
    },
  },
  {
    name: 'retention',
    ...exporting,
    async prepare(world) {
      await prepareExport(world)
      await world.exportNow()
      await goOnUntilOver(world)
      // The one before the current snapshot stays.
      await world.clock.advance(6 * HOUR)
      world.setFleet(world.fleetAt(12))
      await world.exportNow()
      await goOnUntilOver(world)
      await world.clock.advance(31 * DAY)
    },
    work: (world) => world.timer((one) => one.housekeeping()),
    async goOn(world) {
      await world.clock.advance(HOUR)
      await world.timer((one) => one.housekeeping())
    },
    async outcome(world) {
      const runs = await ledgerOf(world).runs(100)
      const tables = (await world.storage.names()).filter((name) =>
        name.startsWith('AvHealthSnapshot'),
      )
      return `${tables.length} of ${runs.length} snapshots are left`
    },
  },
  {
    name: 'poll',
    async prepare(world) {
      const { actions } = world.simulator
      await preparePolls(world)
      await world.pass(MINUTE, [ACTIONS])
      await world.clock.advance(10 * MINUTE)
      actions.change('a0', { status: 'Failed' })
      actions.change('a1', { status: 'Succeeded' })
      actions.put({ id: 'a3', status: 'Pending' })
      world.changes.push('a0 Failed', 'a1 Succeeded', 'a3 Pending')
    },
    work: (world) => world.timer((one) => one.poll(ACTIONS)),
    async goOn(world) {
      await world.pass(2 * MINUTE, [ACTIONS])
      world.simulator.actions.change('a2', { status: 'Failed' })
      world.changes.push('a2 Failed')
      for (let passes = 0; passes < 3; passes++) await world.pass(6 * MINUTE, [ACTIONS])
    },
    outcome: deliveryOutcome,
  },
  {
    name: 'dispatch',
    async prepare(world) {
      await preparePolls(world)
      // The poll that appends dies before it dispatches.
      world.network.interfere(async ({ step, send }) => {
        if (step !== 'poll: list Subscriptions') return send()
        ;(await world.live()).kill()
        return 'silence'
      })
      await world.timer((one) => one.poll(ACTIONS))
      world.network.interfere(undefined)
      await world.timer((one) => one.resumeExports())
      await world.clock.advance(MINUTE)
    },
    work: (world) => world.timer((one) => one.dispatch()),
    async goOn(world) {
      for (let passes = 0; passes < 3; passes++) await world.pass(6 * MINUTE, [ACTIONS])
    },
    outcome: deliveryOutcome,
  },
  {
    name: 'delivery',
    async prepare(world) {
      await preparePolls(world)
      await world.timer((one) => one.poll(ACTIONS))
    },
    work: (world) => world.serveQueues(),
    async goOn(world) {
      for (let passes = 0; passes < 3; passes++) await world.pass(6 * MINUTE)
    },
    outcome: deliveryOutcome,
  },
]
