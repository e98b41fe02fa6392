import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mayHaveCompiler } from '../local/tools/bicep/find-compiler.ts'
import { findBrowser } from './portal/browser.ts'

/** Everything that is checked before a change counts, in this order; the first that fails ends it: `npm test`. */
const steps = [
  ['npm', 'run', 'check'],
  // The check before it has found every wrong type.
  ['npm', 'run', 'build', '--', '--noCheck'],
  ['vitest', 'run', ...process.argv.slice(2)],
]

const { browser, missing } = await findBrowser()
await browser?.close()
// Where one was found, tests that do not find it must not be left out.
if (browser) process.env.HAS_BROWSER = 'true'

let status: number | null = 0
for (const [command = '', ...args] of steps) {
  // On Windows both commands are scripts, which only a shell runs.
  const shell = process.platform === 'win32'
  if (status === 0) status = spawnSync(command, args, { shell, stdio: 'inherit' }).status
}
if (!mayHaveCompiler())
  console.log('No Bicep compiler here: the templates were not compiled, only their table was read')
if (missing) console.log(missing)
const cpu = childSeconds()
if (cpu !== undefined) console.log(`CPU of all steps: ${cpu.toFixed(0)} s, user and system`)
// A step that a signal has ended has no status.
process.exitCode = status ?? 1

/** CPU seconds of all processes that this one has begun and that have ended; undefined where the system keeps no such file. */
function childSeconds(): number | undefined {
  if (process.platform !== 'linux') return undefined
  // https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html: the name in brackets may hold spaces; cutime and cstime
  // are the 14th and 15th field behind it, in ticks of 10 ms.
  const fields = readFileSync('/proc/self/stat', 'utf8').split(') ').at(-1)?.split(' ') ?? []
  return (Number(fields[13]) + Number(fields[14])) / 100
}
