import { resolve } from 'node:path'
import { startAzurite } from './azurite.ts'
import { readLocalSettings, type Settings } from './laptop.ts'
import { callerFolder, readScriptOptions } from './options.ts'

const USAGE = `Usage: npm run preflight [-- options]

Checks whether each flow can run with the settings of local.settings.json:
signs in as the app does on this machine, makes one small call to the real
Defender and to Tenable, and writes to the data account. Prints what is missing
and how to fix it. Without a data account it uses the storage emulator.
Ends with 1 when a flow that is set up can't run.

  --settings FILE   another file in the form of local.settings.json
  --json            the results as JSON
  --help            this page`

const IS_EMULATOR = /UseDevelopmentStorage=true/i

process.exitCode = await main()

async function main(): Promise<number> {
  let options: { settings: string | undefined; json: boolean; help: boolean }
  try {
    options = readOptions(process.argv.slice(2))
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${USAGE}\n`)
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
  return check(settings, options.json)
}

async function check(settings: Settings, isJson: boolean): Promise<number> {
  // Not before: wrong options do without the app.
  const { preflight } = await import('../shared/app/preflight.ts')
  const { theApp, useOverrides } = await import('../shared/app.ts')
  const { describeChecks } = await import('./report.ts')
  const azurite = isEmulated(settings) ? await startAzurite() : undefined
  try {
    const storage = azurite ? azurite.connectionString() : settings.RELAY_STORAGE
    const secrets = IS_EMULATOR.test(settings.RELAY_SECRETS ?? '')
      ? storage
      : settings.RELAY_SECRETS
    useOverrides({ env: { ...settings, RELAY_STORAGE: storage, RELAY_SECRETS: secrets } })
    const flows = await preflight(theApp())
    const lines = isJson ? [JSON.stringify(flows, null, 2)] : describeChecks(flows)
    process.stdout.write(`${lines.join('\n')}\n`)
    if (azurite) process.stderr.write('Used the storage emulator in place of the data account.\n')
    return flows.some(({ state }) => state === 'off') ? 1 : 0
  } finally {
    await azurite?.stop()
  }
}

/** True when no account is set, or the emulator that `func start` would use. */
function isEmulated({ RELAY_STORAGE, RELAY_STORAGE__tableServiceUri }: Settings): boolean {
  return RELAY_STORAGE ? IS_EMULATOR.test(RELAY_STORAGE) : !RELAY_STORAGE__tableServiceUri
}

function readOptions(args: string[]) {
  const options = {
    settings: { type: 'string' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  } as const
  const values = readScriptOptions('preflight', options, args)
  const { settings } = values
  return {
    ...values,
    settings: settings === undefined ? undefined : resolve(callerFolder('preflight'), settings),
  }
}
