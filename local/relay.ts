import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { callerFolder } from './options.ts'
import { runRelay } from './relay/run-relay.ts'

// The reader may close the pipe early.
process.stdout.on('error', () => process.exit())

process.exitCode = await runRelay(process.argv.slice(2), {
  env: process.env,
  from: callerFolder('relay'),
  width: process.stdout.isTTY ? process.stdout.columns : undefined,
  out: (lines) => process.stdout.write(`${lines}\n`),
  err: (lines) => process.stderr.write(`${lines}\n`),
  input: () => text(process.stdin),
  sleep,
})
