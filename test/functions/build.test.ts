import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'
import { loadRegistrations, root } from './load-registrations.ts'

const run = promisify(execFile)

test('the compiled app loads with plain node and registers what its sources register', async () => {
  // Below the project, since the compiled files look for their packages upwards.
  await mkdir(join(root, '.local'), { recursive: true })
  const built = await mkdtemp(join(root, '.local', 'build-test-'))
  onTestFinished(() => rm(built, { recursive: true }))
  const compiler = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc')

  const { stdout: complaints } = await run(
    process.execPath,
    [compiler, '-p', 'tsconfig.build.json', '--outDir', built],
    { cwd: root },
  ).catch((error: { stdout: string }) => error)
  expect(complaints).toBe('')
  const [compiled, sources] = await Promise.all(
    [join(built, 'functions/index.js'), join(root, 'functions/index.ts')].map(loadRegistrations),
  )

  expect(compiled?.length).toBeGreaterThan(0)
  expect(compiled).toEqual(sources)
})
