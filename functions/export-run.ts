import * as df from 'durable-functions'
import { exportActivities } from '../shared/app/triggers.ts'
import { exportNames } from '../shared/exports/names.ts'
import { exportRun, importFiles } from '../shared/exports/run.ts'

df.app.orchestration(exportNames.run, exportRun)
df.app.orchestration(exportNames.importFiles, importFiles)

for (const [name, handler] of Object.entries(exportActivities)) df.app.activity(name, { handler })
