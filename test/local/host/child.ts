import { createAdjustableClock } from '../../../local/clock.ts'
import { startHost } from '../../../local/host/host.ts'
import { hostJson } from './host-json.ts'
import { closeGate } from './witness.ts'

// A host in a separate process, for tests that kill it: activities that wait never end here.
const [storage = ''] = process.argv.slice(2)
closeGate('wait')
const host = await startHost({
  load: () => import('./fixture.ts'),
  storage,
  hostJson: hostJson(),
  settings: {
    TASKHUB_NAME: 'TestHub',
    QUEUES: storage,
    QUEUE_NAME: 'incoming',
    HOURLY: '0 0 * * * *',
  },
  port: 0,
  keys: { master: 'the-master-key', function: 'the-function-key' },
  clock: createAdjustableClock(),
  print: (line) => console.log(line),
})
console.log(`listening at ${host.url}`)
