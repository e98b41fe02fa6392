import { app } from '@azure/functions'
import { pollChanges, watchedNames } from '../shared/app/triggers.ts'

for (const name of watchedNames) {
  app.timer(`poll-${name}`, {
    schedule: `%${name.toUpperCase().replace('-', '_')}_SCHEDULE%`,
    handler: (_timer, context) => pollChanges(name, context),
  })
}
