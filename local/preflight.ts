import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { preflight } from '../shared/app/preflight.ts'
import { theApp, useOverrides } from '../shared/app.ts'
import { startAzurite } from './azurite.ts'
import { readLocalSettings, type Settings } from './laptop.ts'
import { callerFolder, whatIsWrong } from './options.ts'
import { describeLooks } from './report.ts'

const USAGE = `Usage: npm run preflight [-- options]

Looks whether each flow can run with the settings of local.settings.json: signs in as the app would on this machine, asks the
real Defender and Tenable one cheap thing each, and writes to the data account. Says what is missing and what mends it.
Without a data account the storage emulator stands in for it. Exit 1 when a flow that is set up can't run.

  --settings FILE   another file laid out like local.settings.json
  --json            what was found as JSON
  --help            this page`

process.exitCode = await main()

async function main(): Promise<number> {
  let options: { settings: string | undefined; json: boolean; help: boolean }
  try {
    options = readOptions(process.argv.slice(2))
  } catch (error) {
    process.stderr.write(`${whatIsWrong(error as Error)}\n\n${USAGE}\n`)
    return 2
  }
  if (options.help) {
    process.stdout.write(`${USAGE}\n`)
    return 0
  }
  let settings: Settings
  try {
    settings = readLocalSettings(options.settings)
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`)
    return 1
  }
  return look(settings, options.json)
}

async function look(settings: Settings, isJson: boolean): Promise<number> {
  const azurite = isEmulated(settings) ? await startAzurite() : undefined
  try {
    const storage = azurite ? azurite.connectionString() : settings.RELAY_STORAGE
    useOverrides({ env: { ...settings, RELAY_STORAGE: storage } })
    const looks = await preflight(theApp())
    const lines = isJson ? [JSON.stringify(looks, null, 2)] : describeLooks(looks)
    process.stdout.write(`${lines.join('\n')}\n`)
    if (azurite) process.stderr.write('The storage emulator stood in for the data account.\n')
    return looks.some(({ state }) => state === 'off') ? 1 : 0
  } finally {
    await azurite?.stop()
  }
}

/** True when no account is set, or the emulator that `func start` would use. */
function isEmulated({ RELAY_STORAGE, RELAY_STORAGE__tableServiceUri }: Settings): boolean {
  return RELAY_STORAGE
    ? /UseDevelopmentStorage=true/i.test(RELAY_STORAGE)
    : !RELAY_STORAGE__tableServiceUri
}

function readOptions(args: string[]) {
  const { values } = parseArgs({
    args,
    options: {
      settings: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  const { settings } = values
  return {
    ...values,
    settings: settings === undefined ? undefined : resolve(callerFolder('preflight'), settings),
  }
}
