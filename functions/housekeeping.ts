import { app } from '@azure/functions'
import * as df from 'durable-functions'
import { housekeeping } from '../shared/app/triggers.ts'

app.timer('housekeeping', {
  schedule: '0 35 * * * *',
  extraInputs: [df.input.durableClient()],
  handler: (_timer, context) => housekeeping(context, df.getClient(context)),
})
