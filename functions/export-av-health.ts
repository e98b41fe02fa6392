import { app } from '@azure/functions'
import * as df from 'durable-functions'
import { exportAvHealth, resumeAvHealth } from '../shared/app/triggers.ts'

app.timer('export-av-health', {
  schedule: '%AV_HEALTH_SCHEDULE%',
  extraInputs: [df.input.durableClient()],
  handler: (_timer, context) => exportAvHealth(context, df.getClient(context)),
})

app.timer('resume-exports', {
  schedule: '0 */5 * * * *',
  extraInputs: [df.input.durableClient()],
  handler: (_timer, context) => resumeAvHealth(context, df.getClient(context)),
})
