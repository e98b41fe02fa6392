import fc from 'fast-check'
import { dispatch } from '../../../shared/events/delivery/dispatch.ts'
import { wakeAll } from '../../../shared/events/delivery/sweep.ts'
import type { EventsDeps } from '../../../shared/events/deps.ts'
import { createFaultInjector, depsWith, type Fault } from '../../changes/fault-injector.ts'
import { startHost } from '../../changes/host.ts'
import { createWorld, MINUTE, SECOND, someEvent } from '../world.ts'

const HOST = 'receiver.contoso.net'
const STREAM = 'machine-actions'

/** What happens: a process appends events and dispatches them after a while. */
interface Append {
  afterMs: number
  events: number
}

/** One order of everything: each request takes a time of its own, so that any two may change places. */
interface Interleaving {
  appends: Append[]
  latencies: number[]
  hosts: 1 | 2
  /** Whether the receiver fails the first post of each event. */
  failsFirst: boolean
  faults: Fault[]
}

export const interleavings: fc.Arbitrary<Interleaving> = fc.record({
  appends: fc.array(
    fc.record({
      afterMs: fc.constantFrom(0, 1, 15, 40, 120, 700, 6000),
      events: fc.integer({ min: 1, max: 3 }),
    }),
    { minLength: 1, maxLength: 6 },
  ),
  latencies: fc.array(fc.constantFrom(0, 1, 3, 9, 30, 90), { minLength: 1, maxLength: 40 }),
  hosts: fc.constantFrom(1, 2),
  failsFirst: fc.boolean(),
  faults: fc.oneof(
    fc.constant<Fault[]>([]),
    fc.array(
      fc.record({
        at: fc.nat(25),
        kind: fc.constantFrom('crash before' as const, 'crash after' as const),
      }),
      { minLength: 1, maxLength: 2 },
    ),
  ),
})

/** The longest wait, with some seconds for the requests. Each third failure in a row makes a pause of five seconds. */
const longestMs = ({ appends, failsFirst }: Interleaving) =>
  (4 + (failsFirst ? 2 * appends.reduce((sum, { events }) => sum + events, 0) : 0)) * SECOND

export type Replace = (deps: EventsDeps) => EventsDeps

/** Plays one order and answers every broken promise. */
export async function play(interleaving: Interleaving, replaceDeps: Replace = (deps) => deps) {
  const { appends, latencies, hosts, failsFirst, faults } = interleaving
  const world = await createWorld()
  const { clock } = world
  let requests = 0
  let lastCrashMs = Number.NEGATIVE_INFINITY
  const schedule = async () => {
    requests += 1
    await clock.sleep(latencies[requests % latencies.length] ?? 0)
  }
  const dueMs = new Map<string, number>()
  const accepted = new Set<string>()
  const broken: string[] = []
  world.receive(HOST, ({ event: { id }, atMs }) => {
    if (world.inFlight(HOST) > 2) broken.push(`${world.inFlight(HOST)} posts at the same time`)
    const lateMs = atMs - Math.max(dueMs.get(id) ?? 0, lastCrashMs)
    // After a crash, until the next run of the timer; a receiver that has failed meanwhile has a longer pause.
    const crashMs = lastCrashMs < 0 ? 0 : MINUTE + (failsFirst ? 45 * SECOND : 0)
    if (lateMs > longestMs(interleaving) + crashMs) broken.push(`${id} waited ${lateMs} ms`)
    const fails = failsFirst && !world.ids(HOST).slice(0, -1).includes(id)
    dueMs.set(id, atMs + (fails ? 5 * SECOND : MINUTE))
    if (!fails) accepted.add(id)
    return fails ? 500 : 200
  })
  await world.subscribe(HOST)
  const left = [...faults]
  const host = () =>
    startHost(world, left, replaceDeps, {
      schedule,
      onCrash: () => {
        lastCrashMs = clock.now().getTime()
      },
    })
  for (let n = 0; n < hosts; n++) host()
  // A crash has lost something: only then the timer is needed.
  if (faults.length > 0)
    void (async () => {
      for (;;) {
        await clock.sleep(MINUTE)
        await dispatch(world.deps, STREAM)
        await wakeAll(world.deps)
      }
    })()

  let appended = Promise.resolve()
  const append = async ({ afterMs, events }: Append) => {
    await clock.sleep(afterMs)
    // One after the other, as the head's ETag has it.
    appended = appended.then(() =>
      world.append(...Array.from({ length: events }, () => someEvent())),
    )
    await appended
    const all = await world.feed.events(STREAM, 0, 100)
    for (const { id } of all) if (!dueMs.has(id)) dueMs.set(id, clock.now().getTime())
    const injector = createFaultInjector(left, {
      schedule,
      onCrash: () => {
        lastCrashMs = clock.now().getTime()
      },
    })
    await dispatch(replaceDeps(depsWith(world, injector)), STREAM).catch(() => undefined)
  }
  const appending = Promise.all(appends.map(append))
  await clock.advance(30 * SECOND)
  await appending
  await clock.advance(faults.length > 0 ? 6 * MINUTE : MINUTE)

  for (const { id } of await world.feed.events(STREAM, 0, 100))
    if (!accepted.has(id)) broken.push(`${id} is lost`)
  return broken
}
