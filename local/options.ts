import { resolve } from 'node:path'
import { type ParseArgsOptionsConfig, parseArgs } from 'node:util'
import { faultSwitches } from './simulator/switches/index.ts'

/** The options of `npm start -- …`. */
export interface StartOptions {
  once: boolean
  /** Devices of the simulated fleet; undefined = the one in the data folder, else the default. */
  fleet: number | undefined
  /** Exports of a fleet that ages a day from one to the next. */
  days: number | undefined
  /** Export files on disk to import instead of a fleet's, as absolute paths. */
  files: string[]
  /** Origin of another server with the routes of the simulator. */
  upstream: string | undefined
  /** Use the real Defender of the settings. */
  live: boolean
  /** Absolute path of another settings file. */
  settings: string | undefined
  port: number | undefined
  key: string | undefined
  /** Absolute path. */
  data: string
  /** Names of fault switches that the simulator plays. */
  faults: string[]
  /** List the fault switches, then end. */
  listFaults: boolean
  verbose: boolean
  help: boolean
}

export const USAGE = `Usage: npm start -- [options]

Runs defender-relay on this machine: storage emulator, simulated Defender and
functions host. Imports one antivirus-health export, then serves requests and
runs its timers until Ctrl-C.

  --once               end after the import; the last line on stdout is the run
                       as JSON; ends with 0 or 1
  --fleet N            devices of the simulated fleet (default: as in the data
                       folder, else 5000)
  --days N             import N exports of the simulated fleet, which ages a day
                       from one to the next; moves the clock of the app
  --files F [F …]      import these export files (.json.gz, one JSON object on
                       each line) instead of a simulated fleet
  --upstream ORIGIN    use another server with the routes of the simulator, for
                       example http://127.0.0.1:9000
  --live               use the real Defender, with local.settings.json and the
                       sign-in of this machine; imports only with --once
  --settings FILE      with --live: another file in the form of
                       local.settings.json
  --port N             port of the host (default: 7071, or the next free one;
                       0: any free one)
  --key KEY            function key (default: made once and stored in the data
                       folder)
  --data DIR           folder for the emulator's files, the keys and the fleet
                       (default: .local; with --live .local/live)
  --fault NAME         let the simulated upstreams fail in this way; may be
                       repeated, or a list with commas
  --faults             list these ways
  --verbose            print every log line of the functions
  --help               this page`

/**
 * Devices that the emulator can hold: it crashes when its table file exceeds 512 MB, a device takes 1.8 kB, and up to four
 * snapshots exist at the same time.
 */
export const LARGEST_FLEET = 60_000

/** Reads the command line; throws an Error whose message is one sentence for the person who typed it. */
export function readOptions(args: string[], from = process.cwd()): StartOptions {
  const { values, positionals } = parse(args)
  if (positionals.length > 0 && values.files.length === 0)
    throw new Error(`"${positionals[0]}" is unknown.`)
  const live = values.live ? 'live' : undefined
  const sources = [values.fleet, values.files[0], values.upstream, live].filter(
    (source) => source !== undefined,
  )
  if (sources.length > 1) throw new Error('Give one of --fleet, --files, --upstream and --live.')
  if (values.settings !== undefined && !live) throw new Error('--settings goes with --live.')
  const fleet = wholeNumber('--fleet', values.fleet, 1, 10_000_000)
  if (fleet !== undefined && fleet > LARGEST_FLEET) {
    throw new Error(
      `The storage emulator holds about ${LARGEST_FLEET} devices; choose a smaller --fleet.`,
    )
  }
  if (values.key !== undefined && !/^[\w.~=-]{8,200}$/.test(values.key)) {
    throw new Error('--key takes 8 to 200 letters, digits and . ~ = _ -')
  }
  if (values.data === '') throw new Error('--data takes the path of a folder.')
  const days = wholeNumber('--days', values.days, 1, 30)
  if (days !== undefined && sources.length > 0 && fleet === undefined)
    throw new Error('--days goes with the simulated fleet: not with --files, --upstream, --live.')
  const files = [...values.files, ...positionals]
  if (files.includes('')) throw new Error('--files takes paths of files.')
  return {
    once: values.once,
    fleet,
    days,
    files: files.map((file) => resolve(from, file)),
    upstream: values.upstream === undefined ? undefined : readUpstream(values.upstream),
    live: values.live,
    settings: values.settings === undefined ? undefined : resolve(from, values.settings),
    port: wholeNumber('--port', values.port, 0, 65_535),
    key: values.key,
    data:
      values.data === undefined
        ? resolve(live ? '.local/live' : '.local')
        : resolve(from, values.data),
    faults: readFaults(values.fault, sources.length > 0 && values.fleet === undefined),
    listFaults: values.faults,
    verbose: values.verbose,
    help: values.help,
  }
}

const options = {
  once: { type: 'boolean', default: false },
  fleet: { type: 'string' },
  days: { type: 'string' },
  files: { type: 'string', multiple: true, default: [] as string[] },
  upstream: { type: 'string' },
  live: { type: 'boolean', default: false },
  settings: { type: 'string' },
  port: { type: 'string' },
  key: { type: 'string' },
  data: { type: 'string' },
  fault: { type: 'string', multiple: true, default: [] as string[] },
  faults: { type: 'boolean', default: false },
  verbose: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const

/** The fault switches with what each of them does, within 80 columns. */
export const listFaultSwitches = (): string =>
  Object.entries(faultSwitches)
    .map(([name, { summary }]) => `${name}\n${summary.replace(/(.{1,74})(?: |$)/g, '    $1\n')}`)
    .join('')

function readFaults(lists: string[], isOtherSource: boolean): string[] {
  const names = lists.flatMap((list) => list.split(',')).map((name) => name.trim())
  if (names.length > 0 && isOtherSource)
    throw new Error('--fault goes with the simulated fleet: not with --files, --upstream, --live.')
  const unknown = names.find((name) => !Object.hasOwn(faultSwitches, name))
  if (unknown === undefined) return names
  throw new Error(`--fault "${unknown}" is unknown; npm start -- --faults lists the names.`)
}

function parse(args: string[]) {
  const swallowed = findSwallowed('start', Object.keys(options), args)
  if (swallowed?.isSure) throw new Error(swallowed.sentence)
  try {
    return parseArgs({ args, allowPositionals: true, options })
  } catch (error) {
    throw new Error(whatIsWrong(error as NodeJS.ErrnoException))
  }
}

/** One sentence for an error of `parseArgs`. Node writes several, some of them not related. */
export function whatIsWrong({ message }: Error): string {
  const [, option] = /'(-[^' ]*)/.exec(message) ?? []
  if (message.startsWith('Unknown option')) return `${option} is unknown.`
  if (message.includes('does not take an argument')) return `${option} takes no value.`
  return `${option} needs a value.`
}

function wholeNumber(
  name: string,
  text: string | undefined,
  min: number,
  max: number,
): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (/^\d{1,9}$/.test(text) && value >= min && value <= max) return value
  throw new Error(`${name} takes a whole number from ${min} to ${max}.`)
}

function readUpstream(text: string): string {
  const url = readOrigin(text)
  if (url && /^https?:$/.test(url.protocol)) return url.origin
  throw new Error('--upstream takes an origin such as http://127.0.0.1:9000')
}

/** The URL of a text that is only an origin; undefined for any other text. */
export function readOrigin(text: string): URL | undefined {
  const url = URL.parse(text)
  const isBare = url?.pathname === '/' && !url.search && !url.hash && !url.username && !url.password
  return url && isBare ? url : undefined
}

/** Options that npm has too: a user's npm settings may have them, so they are no sure sign. */
const npmsOwn = new Set(['all', 'description', 'force', 'json', 'key', 'url'])

/**
 * Says that npm has taken options for itself, as with `npm start --once`: it passes what stands before `--` only in the
 * environment. Undefined when it has not.
 */
export function findSwallowed(
  script: string,
  names: readonly string[],
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): { sentence: string; isSure: boolean } | undefined {
  if (env.npm_lifecycle_event !== script) return undefined
  const passed = (name: string) => env[`npm_config_${name.replaceAll('-', '_')}`]
  const taken = names.filter(
    (name) => passed(name) && !args.some((arg) => arg.split('=')[0] === `--${name}`),
  )
  if (taken.length === 0) return undefined
  const typed = taken.map((name) => `--${name}${passed(name) === 'true' ? '' : `=${passed(name)}`}`)
  const command = script === 'start' ? 'npm start' : `npm run ${script}`
  // npm does not say which value belongs to which option.
  const example =
    taken.length === 1 && args.length <= 1 ? [...typed, ...args].join(' ') : '[options]'
  return {
    sentence: `npm has taken ${typed.join(', ')} for itself: options of this script come after "--", as in: ${command} -- ${example}`,
    isSure: taken.some((name) => !npmsOwn.has(name)),
  }
}

/** Reads the options of a script without other arguments; throws an Error with one sentence. */
export function readScriptOptions<const Options extends ParseArgsOptionsConfig>(
  script: string,
  options: Options,
  args: string[],
) {
  const swallowed = findSwallowed(script, Object.keys(options), args)
  if (swallowed?.isSure) throw new Error(swallowed.sentence)
  try {
    return parseArgs({ args, options }).values
  } catch (error) {
    throw new Error(whatIsWrong(error as Error))
  }
}

/** The folder that relative paths of a command line start from: npm runs scripts in the folder of the package. */
export function callerFolder(script: string): string {
  const { npm_lifecycle_event: running, INIT_CWD: calledFrom } = process.env
  return (running === script && calledFrom) || process.cwd()
}
