import { parseArgs } from 'node:util'
import { createAdjustableClock } from '../clock.ts'
import { createFleet } from './fleet.ts'
import { startSimulator } from './simulator.ts'

// Runs the simulator alone, for tests that need it in another process: prints `{"origin": …}` and stays.
const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    fleet: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
    'generated-time': { type: 'string' },
    /** JSON with further fleet options, faults and token options. */
    options: { type: 'string', default: '{}' },
  },
})
const { fleet, faults, token } = JSON.parse(values.options)
const generatedTime = values['generated-time']
const simulator = await startSimulator({
  port: Number(values.port),
  clock: createAdjustableClock(),
  fleet: createFleet({
    size: Number(values.fleet),
    seed: Number(values.seed),
    ...(generatedTime && { generatedTime }),
    ...fleet,
  }),
  faults,
  token,
})
console.log(JSON.stringify({ origin: simulator.origin }))

const stop = () => simulator.stop().then(() => process.exit(0))
process.on('SIGTERM', stop)
process.on('SIGINT', stop)
// Started with a channel, it goes when its parent goes.
process.on('disconnect', stop)
