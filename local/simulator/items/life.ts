import type { Clock } from '../../../shared/platform/time.ts'
import { deviceIdOf, deviceNameOf, systemOf } from '../device.ts'
import type { FleetOptions } from '../layout.ts'
import { dayMs, hourMs } from '../moment.ts'
import { createRandom } from '../random.ts'
import { actionTimeline, leaderOf } from './action-timeline.ts'
import { investigationTimeline } from './investigation.ts'
import type { LifeContext, LifeOptions, Subject, Timeline } from './item.ts'

/** Returns the items that were created since its last call. */
export type Births = (untilMs: number) => Timeline[]

/** Options of a simulation that started long enough ago to have items of every age; their devices are those of the fleet. */
export function usualLife(clock: Clock, { size, seed, firstDevice }: FleetOptions): LifeOptions {
  return {
    seed: 1,
    startsAt: new Date(clock.now().getTime() - 9 * dayMs).toISOString(),
    perHour: 20,
    investigationsPerHour: 5,
    retentionDays: 30,
    lateSeconds: 90,
    unknownStates: false,
    devices: { size: Math.max(1, size), seed, firstDevice },
  }
}

/** Simulates the creation of a tenant's machine actions and investigations. */
export function createLife(options: LifeOptions): { actions: Births; investigations: Births } {
  const { seed, perHour, investigationsPerHour } = options
  const context: LifeContext = { options, subject: (...choice) => subjectOf(options, choice) }
  return {
    actions: birthsOf(options, perHour, (place) =>
      actionTimeline(place, bornAt(seed, perHour, leaderOf(place)), context),
    ),
    investigations: birthsOf(options, investigationsPerHour, (place) =>
      investigationTimeline(place, bornAt(seed + 1, investigationsPerHour, place), context),
    ),
  }
}

/** Items are numbered from 1970, so that an item does not depend on the start of the simulation. */
function birthsOf(
  options: LifeOptions,
  perHour: number,
  make: (place: number) => Timeline,
): Births {
  if (!(perHour > 0)) return () => []
  const placeAt = (ms: number) => Math.ceil((ms * perHour) / hourMs)
  let place = placeAt(Date.parse(options.startsAt))
  let next: Timeline | undefined
  return (untilMs) => {
    // Items that were created and purged while the clock moved far forward can't be seen: they are left out.
    const least = placeAt(untilMs - options.retentionDays * dayMs)
    if (place < least) {
      place = least
      next = undefined
    }
    const born: Timeline[] = []
    for (;;) {
      next ??= make(place)
      if ((next.versions[0]?.atMs ?? 0) > untilMs) return born
      born.push(next)
      next = undefined
      place++
    }
  }
}

/** When the item with a number is created: somewhere in its share of the hour, one in ten on a full second. */
function bornAt(seed: number, perHour: number, place: number): number {
  const random = createRandom(seed, place, 40)
  const at = (share: number) => ((place + share) * hourMs) / perHour
  const fullSecond = Math.ceil(at(0) / 1000) * 1000
  const ms = Math.floor(at(random.next()))
  return random.chance(0.1) && fullSecond < at(1) ? fullSecond : ms
}

function subjectOf({ devices }: LifeOptions, choice: number[]): Subject {
  const random = createRandom(devices.seed, ...choice)
  for (let tries = 0; ; tries++) {
    const number = devices.firstDevice + random.int(devices.size)
    const machineId = deviceIdOf(number, devices.seed)
    // Real ids here have forty digits; a fleet without such a device uses any id.
    if (!/^[\da-f]{40}$/.test(machineId) && tries < 20) continue
    const lasting = createRandom(devices.seed, number, 1)
    systemOf(lasting)
    return { machineId, computerDnsName: deviceNameOf(number, lasting) }
  }
}
