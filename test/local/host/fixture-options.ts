import { createAdjustableClock } from '../../../local/clock.ts'
import type { HostOptions } from '../../../local/host/host.ts'

/** The host.json of the tests, with short times. */
export const hostJson = (change: { durableTask?: object; queues?: object } = {}) => ({
  version: '2.0',
  extensions: {
    http: { routePrefix: 'api' },
    queues: {
      messageEncoding: 'none',
      maxPollingInterval: '00:00:00.100',
      visibilityTimeout: '00:00:00',
      ...change.queues,
    },
    durableTask: {
      hubName: '%TASKHUB_NAME%',
      defaultVersion: '1.0',
      maxConcurrentActivityFunctions: 4,
      ...change.durableTask,
    },
  },
})

/** Options of a host that loads the fixture, with the connection string of its storage. */
export const fixtureOptions = (storage: string): Omit<HostOptions, 'print'> => ({
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
})
