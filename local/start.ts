import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import { theApp } from '../shared/app.ts'
import { endRun } from '../shared/exports/end-run.ts'
import { createLog } from '../shared/platform/log.ts'
import { openDataFolder, type Source } from './data-folder.ts'
import { createProgress, exportOnce, type OnceReport } from './export-once.ts'
import { readOptions, type StartOptions, USAGE } from './options.ts'
import { startStack } from './stack.ts'

const DEFAULT_FLEET = 5000
const say = (line: string) => process.stderr.write(`${line}\n`)

process.exitCode = await main()

async function main(): Promise<number> {
  let options: StartOptions
  try {
    options = readOptions(process.argv.slice(2))
  } catch (error) {
    say(`${(error as Error).message}\n\n${USAGE}`)
    return 2
  }
  if (options.help) {
    process.stdout.write(`${USAGE}\n`)
    return 0
  }
  const interrupted = new Promise<'interrupted'>((done) => {
    let times = 0
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.on(signal, () => (++times > 1 ? process.exit(130) : done('interrupted')))
    }
  })
  try {
    return await run(options, interrupted)
  } catch (error) {
    say(options.verbose ? String((error as Error).stack) : (error as Error).message)
    return 1
  }
}

async function run(options: StartOptions, interrupted: Promise<'interrupted'>): Promise<number> {
  const folder = await openDataFolder(resolve(options.data))
  if (options.key) folder.state.keys.function = options.key
  const before = folder.state.source
  const source = chooseSource(options, before)
  const isOther = before !== undefined && JSON.stringify(before) !== JSON.stringify(source)
  folder.state.source = source
  folder.save()
  say('starting storage emulator, simulated upstreams and functions host …')
  const stack = await startStack({
    folder,
    source,
    upstream: options.upstream,
    port: options.port,
    print: (line) => {
      if (options.verbose || /^(?:error|warn|Executed)/.test(line)) say(line)
    },
    beforeHost: async () => {
      if (isOther) await replaceUnfinishedRun()
    },
  })
  const { url } = stack.host
  const key = folder.state.keys.function
  try {
    say(`host: ${url}   function key: ${key}   master key: ${folder.state.keys.master}`)
    const progress = createProgress(process.stderr)
    const report = await Promise.race([exportOnce(url, key, progress.show), interrupted])
    progress.end()
    if (report === 'interrupted') return 130
    sayReport(report)
    if (options.once) {
      process.stdout.write(`${JSON.stringify(report)}\n`)
      return report.ok ? 0 : 1
    }
    sayWhatToTry(url, key, report)
    await interrupted
    return 0
  } finally {
    say('stopping …')
    await stack.stop()
    folder.release()
  }
}

function chooseSource({ fleet, files, upstream }: StartOptions, before: Source | undefined): Source {
  if (upstream) return { kind: 'upstream' }
  // Whole minutes, as the service writes it.
  const generatedTime = `${new Date().toISOString().slice(0, 16)}:00Z`
  if (files.length > 0) {
    const paths = files.map((file) => resolve(file))
    const changedMs = Math.max(...paths.map((path) => statSync(path).mtimeMs))
    const madeAt = `${new Date(changedMs).toISOString().slice(0, 19)}Z`
    return { kind: 'files', files: paths, generatedTime: madeAt }
  }
  if (before?.kind === 'fleet' && (fleet === undefined || fleet === before.size)) return before
  return { kind: 'fleet', size: fleet ?? DEFAULT_FLEET, generatedTime }
}

/** A run over another fleet can't be finished any more: its files are gone. */
async function replaceUnfinishedRun(): Promise<void> {
  const log = createLog({ info: say, warn: say, error: () => undefined })
  const engine = (await theApp().avHealth()).engine(log)
  const active = await engine.runs.active()
  const ref = active && (await engine.runs.takeOver(active))
  if (!ref) return
  say(`run ${ref.runId} was over another fleet: it is given up`)
  await endRun(engine, ref, 'failed', 'the local fleet was replaced')
}

function sayReport({ runId, state, reason, counts, devices, seconds, rowsPerSecond, ...rest }: OnceReport): void {
  const { listed, imported, failed, parsed, written, duplicates, rejected } = counts
  say(`run ${runId}: ${state}${reason ? ` (${reason})` : ''} in ${seconds} s, ${rowsPerSecond} rows/s`)
  say(`  files    ${listed} listed = ${imported} imported + ${failed} failed`)
  say(`           ${rest.notReadyAtFirst} not ready at first, ${rest.linksRenewed} links renewed`)
  say(`  rows     ${parsed} parsed = ${written} written + ${duplicates} duplicates + ${rejected} rejected`)
  say(`  devices  ${devices} in the current snapshot`)
  const unknown = Object.entries(rest.unknownFields)
  if (unknown.length > 0) say(`  unknown  ${unknown.map(([name, times]) => `${name} × ${times}`).join(', ')}`)
}

function sayWhatToTry(url: string, key: string, { runId }: OnceReport): void {
  const curl = `curl -s -H 'x-functions-key: ${key}'`
  say('\nTry:')
  say(`  ${curl} ${url}/api/status`)
  say(`  ${curl} ${url}/api/av-health/exports/${runId}`)
  say(`  ${curl} ${url}/api/av-health/snapshots`)
  say(`  ${curl} -X POST ${url}/api/av-health/exports -H 'content-type: application/json' -d '{"force":true}'`)
  say('\nServing; Ctrl-C stops everything.')
}
