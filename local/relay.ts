import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { runRelay } from './relay/run-relay.ts'

// Whoever reads along may have seen enough.
process.stdout.on('error', () => process.exit())

// npm runs scripts in the package's folder; paths are meant from where it was called.
const { npm_lifecycle_event: script, INIT_CWD: calledFrom } = process.env
process.exitCode = await runRelay(process.argv.slice(2), {
  env: process.env,
  from: (script === 'relay' && calledFrom) || process.cwd(),
  width: process.stdout.isTTY ? process.stdout.columns : undefined,
  out: (lines) => process.stdout.write(`${lines}\n`),
  err: (lines) => process.stderr.write(`${lines}\n`),
  input: () => text(process.stdin),
  sleep,
})
