import { parseArgs } from 'node:util'
import { type Check, examine } from './doctor/examine.ts'

const USAGE = `Usage: npm run doctor [-- options]

Asks az and azd whether this machine, subscription, region and person can
deploy: versions, sign-in, resource providers, Flex Consumption with Node 24,
names, and the rights to grant roles. Changes nothing. What can't be asked is
skipped with the reason. Ends with 1 when something must be done first.

  --group NAME      the resource group (default: of azd's environment)
  --location NAME   the region (default: that of the group)
  --help            this page`

const marks = { ok: 'ok     ', fix: 'TO DO  ', skipped: 'skipped' }

process.exitCode = await main()

async function main(): Promise<number> {
  let options: { group?: string | undefined; location?: string | undefined; help: boolean }
  try {
    options = parseArgs({
      options: {
        group: { type: 'string' },
        location: { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    }).values
    for (const text of [options.group, options.location])
      if (text !== undefined && !/^[\w.()-]{1,90}$/.test(text)) throw new Error(`No name: ${text}`)
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${USAGE}\n`)
    return 2
  }
  if (options.help) {
    process.stdout.write(`${USAGE}\n`)
    return 0
  }
  let toDo = 0
  for await (const check of examine(options)) {
    if (check.state === 'fix') toDo += 1
    process.stdout.write(`${describe(check)}\n`)
  }
  process.stdout.write(toDo === 0 ? '\nNothing stands in the way.\n' : `\nTo do first: ${toDo}\n`)
  return toDo === 0 ? 0 : 1
}

function describe({ state, name, text, fix }: Check): string {
  return [`${marks[state]}  ${name}: ${text}`, ...(fix ? [`         → ${fix}`] : [])].join('\n')
}
