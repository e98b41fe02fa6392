import { parseArgs } from 'node:util'

/** What `npm start -- …` was asked to do. */
export interface StartOptions {
  once: boolean
  /** Devices of the simulated fleet; undefined = the one in the data folder, else the default. */
  fleet: number | undefined
  /** Export files on disk to import instead of a fleet's. */
  files: string[]
  /** Origin of another server laid out like the simulator. */
  upstream: string | undefined
  port: number | undefined
  key: string | undefined
  data: string
  verbose: boolean
  help: boolean
}

export const USAGE = `Usage: npm start -- [options]

Runs defender-relay on this machine: storage emulator, simulated Defender, functions host. Imports one
antivirus-health export at once, then serves and ticks until Ctrl-C.

  --once               end after the import; the last line on stdout is the run as JSON; exit 0 or 1
  --fleet N            devices of the simulated fleet (default: the fleet in the data folder, else 5000)
  --files F [F …]      import these export files (.json.gz, one JSON object a line) instead of a fleet
  --upstream ORIGIN    use another server laid out like the simulator, for instance http://127.0.0.1:9000
  --port N             port of the host (default: 7071, or the next free one)
  --key KEY            function key (default: made once and kept in the data folder)
  --data DIR           where the emulator, the keys and the fleet are kept (default: .local)
  --verbose            print every log line of the functions
  --help               this page`

/** A fleet that the emulator can hold: it dies at about 355,000 rows, and up to four snapshots stand side by side. */
const LARGEST_FLEET = 80_000

/** Reads the command line; throws an Error whose message is for the person who typed it. */
export function readOptions(args: string[]): StartOptions {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      once: { type: 'boolean', default: false },
      fleet: { type: 'string' },
      files: { type: 'string', multiple: true, default: [] },
      upstream: { type: 'string' },
      port: { type: 'string' },
      key: { type: 'string' },
      data: { type: 'string', default: '.local' },
      verbose: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (positionals.length > 0 && values.files.length === 0) throw new Error(`"${positionals[0]}" is not known here.`)
  const sources = [values.fleet, values.files[0], values.upstream].filter((source) => source !== undefined)
  if (sources.length > 1) throw new Error('Give one of --fleet, --files and --upstream.')
  const fleet = wholeNumber('--fleet', values.fleet, 1, 10_000_000)
  if (fleet !== undefined && fleet > LARGEST_FLEET) {
    throw new Error(`The storage emulator holds about ${LARGEST_FLEET} devices; choose a smaller --fleet.`)
  }
  if (values.key !== undefined && !/^[\w.~=-]{8,200}$/.test(values.key)) {
    throw new Error('--key takes 8 to 200 letters, digits and . ~ = _ -')
  }
  return {
    once: values.once,
    fleet,
    files: [...values.files, ...positionals],
    upstream: values.upstream === undefined ? undefined : readOrigin(values.upstream),
    port: wholeNumber('--port', values.port, 0, 65_535),
    key: values.key,
    data: values.data,
    verbose: values.verbose,
    help: values.help,
  }
}

function wholeNumber(name: string, text: string | undefined, least: number, most: number): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (/^\d{1,9}$/.test(text) && value >= least && value <= most) return value
  throw new Error(`${name} takes a whole number from ${least} to ${most}.`)
}

function readOrigin(text: string): string {
  const url = URL.parse(text)
  if (url && /^https?:$/.test(url.protocol) && url.pathname === '/' && !url.search && !url.username) return url.origin
  throw new Error('--upstream takes an origin such as http://127.0.0.1:9000')
}
