import { parseArgs } from 'node:util'
import { createAdjustableClock } from '../clock.ts'
import { createFleet } from './fleet.ts'
import { startSimulator } from './simulator.ts'

// Runs the simulator alone, for tests that need it in another process: prints `{"origin": …}` and keeps running.
const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    fleet: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
    'generated-time': { type: 'string' },
    /** Simulated machine actions an hour, and a quarter as many investigations; 0 for none. */
    'actions-per-hour': { type: 'string', default: '0' },
    /** JSON with further fleet options, faults, token options, options of life and scans. */
    options: { type: 'string', default: '{}' },
  },
})
const { fleet, faults, token, life, scans } = JSON.parse(values.options)
const perHour = Number(values['actions-per-hour'])
const generatedTime = values['generated-time']
const simulator = await startSimulator({
  port: Number(values.port),
  clock: createAdjustableClock(),
  fleet: createFleet({
    size: Number(values.fleet),
    seed: Number(values.seed),
    generatedTime,
    ...fleet,
  }),
  faults,
  token,
  scans,
  ...((perHour > 0 || life) && { life: { perHour, investigationsPerHour: perHour / 4, ...life } }),
})
console.log(JSON.stringify({ origin: simulator.origin }))

const stop = () => simulator.stop().then(() => process.exit(0))
process.on('SIGTERM', stop)
process.on('SIGINT', stop)
// Started with a channel, it ends when its parent ends.
process.on('disconnect', stop)
