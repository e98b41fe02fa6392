import { setTimeout as sleep } from 'node:timers/promises'
import { preflight } from '../shared/app/preflight.ts'
import { theApp } from '../shared/app.ts'
import {
  countOpen,
  exportOnce,
  followEvents,
  leaveEvents,
  readSummary,
  runTimer,
} from './app-client.ts'
import type { DataFolder } from './data-folder.ts'
import type { Settings } from './laptop.ts'
import type { StartOptions } from './options.ts'
import {
  describeChecks,
  describeEmulator,
  describeFleet,
  describeReport,
  describeServed,
} from './report.ts'
import { chooseSource } from './source.ts'
import { startStack } from './stack.ts'
import { type Progress, toPlain, toPlainLines } from './terminal.ts'

const SPREADING_MS = 1000

export interface ServeOptions {
  options: StartOptions
  folder: DataFolder
  /** The settings for the real Defender. */
  live: Settings | undefined
  signal: AbortSignal
  progress: Progress
}

/** Starts everything, imports, and serves until the signal, or with `--once` no longer; returns the exit code. */
export async function importAndServe({
  options,
  folder,
  live,
  signal,
  progress,
}: ServeOptions): Promise<number> {
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
    if (simulator) await leaveEvents({ url, key, folder })
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
    say(describeFleet(await readSummary(url, key), source, open))
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
}

/** Does the work. When it fails because the emulator has ended, throws that error instead, also when it is noticed later. */
function unlessBroken<T>(work: Promise<T>, broken: Promise<never>): Promise<T> {
  const result = work.catch(async (error) => {
    await Promise.race([broken, sleep(SPREADING_MS)])
    throw error
  })
  return Promise.race([result, broken])
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
