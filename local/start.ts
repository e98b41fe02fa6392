import { openDataFolder } from './data-folder.ts'
import { readLocalSettings, refuseDeadUpstream } from './laptop.ts'
import {
  callerFolder,
  listFaultSwitches,
  readOptions,
  type StartOptions,
  USAGE,
} from './options.ts'
import { refuseMixture, refuseUnreadable } from './source.ts'
import { createProgress } from './terminal.ts'

/** Exit codes when a signal ends the process before the work is done. */
const signalCodes = { SIGINT: 130, SIGTERM: 143 }
const LONGEST_STOP_MS = 120_000

class Interrupted extends Error {
  readonly exitCode: number

  constructor(exitCode: number) {
    super('interrupted')
    this.name = 'Interrupted'
    this.exitCode = exitCode
  }
}

const progress = createProgress(process.stderr)
// The reader may close the pipe; that does not stop the work.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})

process.exitCode = await main()

async function main(): Promise<number> {
  let options: StartOptions
  try {
    options = readOptions(process.argv.slice(2), callerFolder('start'))
  } catch (error) {
    progress.say(`${(error as Error).message}\n\n${USAGE}`)
    return 2
  }
  if (options.help) {
    process.stdout.write(`${USAGE}\n`)
    return 0
  }
  if (options.listFaults) {
    process.stdout.write(listFaultSwitches())
    return 0
  }
  const interrupt = new AbortController()
  const stop = (code: number) => {
    if (interrupt.signal.aborted) process.exit(code)
    interrupt.abort(new Interrupted(code))
    // When stopping hangs: the emulator saves and ends by itself after this process has ended.
    setTimeout(() => process.exit(code), LONGEST_STOP_MS).unref()
  }
  for (const [signal, code] of Object.entries(signalCodes)) process.on(signal, () => stop(code))
  if (process.env.npm_lifecycle_event === 'start') whenParentIsGone(() => stop(signalCodes.SIGTERM))
  try {
    return await run(options, interrupt.signal)
  } catch (error) {
    progress.end()
    if (interrupt.signal.aborted) return interrupt.signal.reason.exitCode
    progress.say(options.verbose ? String((error as Error).stack) : (error as Error).message)
    return 1
  }
}

async function run(options: StartOptions, signal: AbortSignal): Promise<number> {
  if (options.upstream) await refuseDeadUpstream(options.upstream)
  const folder = await openDataFolder(options.data, signal)
  try {
    refuseMixture(options, folder.state.source)
    refuseUnreadable(options, folder.state.source)
    const live = options.live ? readLocalSettings(options.settings) : undefined
    if (options.key) folder.state.keys.function = options.key
    progress.say(`starting storage emulator and functions host …`)
    // Not before: a start that is refused does without the app.
    const { importAndServe } = await import('./serve.ts')
    signal.throwIfAborted()
    return await importAndServe({ options, folder, live, signal, progress })
  } finally {
    folder.release()
  }
}

/** Calls `act` when the parent process has ended: a signal to npm ends the shell between npm and this process, but not this process. */
function whenParentIsGone(act: () => void): void {
  const parent = process.ppid
  const watch = setInterval(() => {
    if (process.ppid === parent) return
    clearInterval(watch)
    act()
  }, 200)
  watch.unref()
}
