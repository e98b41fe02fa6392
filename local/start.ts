import { setTimeout as sleep } from 'node:timers/promises'
import { preflight } from '../shared/app/preflight.ts'
import { theApp } from '../shared/app.ts'
import { AV_HEALTH } from '../shared/av-health/export.ts'
import { createRunLedger } from '../shared/exports/run-store.ts'
import { countOpen, exportOnce, followEvents, runTimer } from './app-client.ts'
import { openDataFolder } from './data-folder.ts'
import { readLocalSettings, refuseDeadUpstream } from './laptop.ts'
import {
  callerFolder,
  listFaultSwitches,
  readOptions,
  type StartOptions,
  USAGE,
} from './options.ts'
import {
  countFleet,
  describeChecks,
  describeEmulator,
  describeFleet,
  describeReport,
  describeServed,
} from './report.ts'
import { chooseSource, refuseMixture, refuseUnreadable } from './source.ts'
import { startStack } from './stack.ts'
import { createProgress, toPlain, toPlainLines } from './terminal.ts'

/** Exit codes when a signal ends the process before the work is done. */
const signalCodes = { SIGINT: 130, SIGTERM: 143 }
const LONGEST_STOP_MS = 120_000
const SPREADING_MS = 1000

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
    // After a day that took no time, everything seems late.
    let isAging = false
    const isShown = (line: string) =>
      options.verbose ||
      (/^(?:error|warn|Executed)/.test(line) && !(isAging && line.includes('] problem {')))
    const stack = await startStack({
      folder,
      upstream: options.upstream,
      faults: options.faults,
      live,
      port: options.port,
      signal,
      print(line) {
        if (isShown(line)) progress.say(toPlainLines(line))
      },
      chooseSource: (known) => chooseSource(options, known),
    })
    const { url } = stack.host
    const { master, function: key } = folder.state.keys
    try {
      folder.noteAddress(url)
      const say = (lines: string[]) => {
        for (const line of lines) progress.say(line)
      }
      say([`host: ${url}`, `function key: ${key}`, `master key: ${master}`])
      say(describeEmulator(stack.azurite.endpoints, folder.connectionFile))
      if (live) say(describeChecks(await preflight(theApp())))
      const { source, simulator } = stack
      const served = { url, key, source, data: options.data }
      if (live && !options.once) {
        say(describeServed(served))
        await Promise.race([aborted(signal), stack.broken])
        return 0
      }
      const resume = () => runTimer(url, master, 'resume-exports')
      const importNow = () =>
        unlessBroken(
          exportOnce({ url, key, signal, onProgress: progress.show, resume }),
          stack.broken,
        )
      let report = await importNow()
      for (let day = 2; day <= (options.days ?? 1) && report.ok; day++) {
        progress.end()
        progress.say(`day ${day} of ${options.days} …`)
        isAging = true
        await stack.nextDay()
        report = await importNow()
      }
      isAging = false
      progress.end()
      const open = source.kind === 'files' ? null : await countOpen(url, key)
      progress.say('')
      say(describeFleet(await countSnapshot(), source, open))
      if (options.once) {
        say(['', ...describeReport(report, source)])
        process.stdout.write(`${JSON.stringify(report)}\n`)
        return report.ok ? 0 : 1
      }
      say([...describeServed(served), '', ...describeReport(report, source)])
      if (simulator) {
        const receiver = simulator.receiver('npm-start')
        await followEvents({
          url,
          key,
          folder,
          receiver,
          say: (line) => progress.say(toPlain(line)),
        })
      }
      await Promise.race([aborted(signal), stack.broken])
      // It serves until it is stopped, so being stopped is a success.
      return 0
    } finally {
      progress.end()
      progress.say('stopping …')
      folder.noteAddress(undefined)
      await stack.stop()
    }
  } finally {
    folder.release()
  }
}

async function countSnapshot() {
  const { table } = await theApp().base()
  const current = await createRunLedger(table('Exports'), AV_HEALTH).current()
  return current ? countFleet(table(current.table)) : undefined
}

/** Does the work. When it fails because the emulator has ended, throws that error instead, also when it is noticed later. */
function unlessBroken<T>(work: Promise<T>, broken: Promise<never>): Promise<T> {
  const result = work.catch(async (error) => {
    await Promise.race([broken, sleep(SPREADING_MS)])
    throw error
  })
  return Promise.race([result, broken])
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

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
