import { HOUR_MS } from '../../../shared/platform/time.ts'
import { createAdjustableClock } from '../../clock.ts'
import { noFaults } from '../../simulator/faults.ts'
import { createFleet } from '../../simulator/fleet.ts'
import { startSimulator } from '../../simulator/simulator.ts'

/** What the process that plays a day asks of this one; the answer is the origin. */
export interface SimulatorMessage {
  /** Milliseconds by which the clock moves forward. */
  advance: number
  /** Microsoft has built a new export, of a fleet that is so many days old. */
  newExportOfDay?: number
}

// The upstreams in a process of their own: what they compute is not the app's.
const devices = Number(process.argv[2])
const actionsPerHour = Number(process.argv[3])
const clock = createAdjustableClock()
const fleet = (day: number) =>
  createFleet({ size: devices, files: 8, generatedTime: clock.now().toISOString(), day })
const simulator = await startSimulator({
  clock,
  fleet: fleet(0),
  faults: noFaults,
  life: {
    perHour: actionsPerHour,
    investigationsPerHour: actionsPerHour / 4,
    // Without the items of days: the emulator is slow with many rows in one partition.
    startsAt: new Date(clock.now().getTime() - 12 * HOUR_MS).toISOString(),
  },
})
process.on('message', ({ advance, newExportOfDay }: SimulatorMessage) => {
  clock.advance(advance)
  if (newExportOfDay !== undefined) simulator.setFleet(fleet(newExportOfDay))
})
process.on('disconnect', () => simulator.stop().then(() => process.exit(0)))
process.send?.(simulator.origin)
