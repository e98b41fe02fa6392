import { writeFileSync } from 'node:fs'
import { beforeAll, test } from 'vitest'
import { loadApps, type LoadedApp } from './instance.ts'
import { stepsOf } from './play.ts'
import { subjects } from './subjects.ts'
let apps: [LoadedApp, LoadedApp]
beforeAll(async () => { apps = await loadApps() })
const all: Record<string, string[]> = {}
test.each(subjects.map((s) => [s.name, s] as const))('%s', async (_n, subject) => {
  const cpu = process.cpuUsage()
  all[subject.name] = await stepsOf(apps, subject)
  const { user, system } = process.cpuUsage(cpu)
  console.log(subject.name, Math.round((user + system) / 1000))
  writeFileSync('/tmp/w/fault-steps.json', JSON.stringify(all, null, 1))
})
