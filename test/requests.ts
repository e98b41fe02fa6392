import { spawnSync } from 'node:child_process'

/** Sends generated requests to every route of the app: `npm run test:requests [-- count]`. */
const count = process.argv[2] ?? '5000'
if (!/^[1-9]\d{0,6}$/.test(count)) {
  console.error('Usage: npm run test:requests [-- count]')
  process.exit(2)
}
const { status } = spawnSync('vitest', ['run', 'test/app/requests.test.ts'], {
  env: { ...process.env, GENERATED_REQUESTS: count },
  // On Windows the command is a script, which only a shell runs.
  shell: process.platform === 'win32',
  stdio: 'inherit',
})
process.exitCode = status ?? 1
