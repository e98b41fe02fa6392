import { app } from '@azure/functions'
import * as df from 'durable-functions'
import {
  exportActivities,
  exportKinds,
  resumeExports,
  startExport,
} from '../shared/app/triggers.ts'
import { exportNames } from '../shared/exports/names.ts'
import { exportRun, importFiles } from '../shared/exports/run.ts'

const extraInputs = [df.input.durableClient()]

for (const kind of exportKinds) {
  app.timer(`export-${kind}`, {
    schedule: `%${kind.toUpperCase().replace('-', '_')}_SCHEDULE%`,
    extraInputs,
    handler: (_timer, context) => startExport(kind, context, df.getClient(context)),
  })
}

app.timer('resume-exports', {
  schedule: '0 */5 * * * *',
  extraInputs,
  handler: (_timer, context) => resumeExports(context, df.getClient(context)),
})

df.app.orchestration(exportNames.run, exportRun)
df.app.orchestration(exportNames.importFiles, importFiles)

for (const [name, handler] of Object.entries(exportActivities)) df.app.activity(name, { handler })
