import { appendFileSync } from 'node:fs'
import { beforeAll, expect, test } from 'vitest'
import { cells, nameOf } from './cells.ts'
import { type LoadedApp, loadApps } from './instance.ts'
import { play } from './play.ts'

const { FAULTS_ONLY, FAULTS_PART, FAULTS_RESULTS } = process.env
const [part = 1, parts = 1] = (FAULTS_PART ?? '').split('/').map(Number)
const selected = cells
  .filter((cell) => nameOf(cell).includes(FAULTS_ONLY ?? ''))
  .filter((_, index) => !FAULTS_PART || index % parts === part - 1)

let apps: [LoadedApp, LoadedApp]
beforeAll(async () => {
  apps = await loadApps()
})

test.each(selected.map((cell) => [nameOf(cell), cell] as const))('%s', async (name, cell) => {
  const { outcome, broken, lines } = await play(apps, cell)

  if (FAULTS_RESULTS)
    appendFileSync(FAULTS_RESULTS, `${JSON.stringify({ name, outcome, broken })}\n`)
  expect(broken, lines.join('\n')).toEqual([])
})
