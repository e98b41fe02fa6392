import { app } from '@azure/functions'
import { deliveryVerbs, dispatchEvents } from '../shared/app/triggers.ts'

const queues = [
  ['deliver-event', 'event-deliveries', 'deliver'],
  ['retry-event', 'event-retries', 'retry'],
] as const

for (const [name, queueName, verb] of queues) {
  const handler = deliveryVerbs[verb]
  app.storageQueue(name, { queueName, connection: 'RELAY_STORAGE', handler })
}

app.timer('dispatch-events', {
  schedule: '30 * * * * *',
  handler: (_timer, context) => dispatchEvents(context),
})
