import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { compileApp } from './compile-app.ts'
import { loadApp, placedDescriptions, root } from './load-registrations.ts'

test('the compiled app loads with plain node, registers what its sources register and answers its descriptions', async () => {
  // Inside the project, since the compiled files find their packages in a parent folder.
  await mkdir(join(root, '.local'), { recursive: true })
  const built = await mkdtemp(join(root, '.local', 'build-test-'))
  onTestFinished(() => rm(built, { recursive: true }))

  const complaints = await compileApp(built)
  expect(complaints).toBe('')
  const indexes = [join(built, 'functions/index.js'), join(root, 'functions/index.ts')]
  const [compiled, sources] = await Promise.all(indexes.map(loadApp))

  expect(compiled?.functions.length).toBeGreaterThan(0)
  expect(compiled).toEqual(sources)
  expect(compiled?.descriptions).toEqual(placedDescriptions())
})
