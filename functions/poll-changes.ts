import { app } from '@azure/functions'
import { pollChanges, pollTimers } from '../shared/app/triggers.ts'

for (const { name, setting } of pollTimers) {
  app.timer(`poll-${name}`, {
    schedule: `%${setting}%`,
    handler: (_timer, context) => pollChanges(name, context),
  })
}
