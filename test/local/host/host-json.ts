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
