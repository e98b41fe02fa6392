import { parseArgs } from 'node:util'
import { whatIsWrong } from '../options.ts'
import { UsageError } from './errors.ts'

/** Every option there is; `value` is what its help calls the text it takes. */
export const optionTable = {
  url: {
    type: 'string',
    value: 'ORIGIN',
    help: 'the app (default: RELAY_URL, else the local one)',
  },
  key: {
    type: 'string',
    value: 'KEY',
    help: 'function key (default: RELAY_KEY, else the one of the data folder)',
  },
  data: { type: 'string', value: 'DIR', help: 'data folder of the local app (default: .local)' },
  json: { type: 'boolean', help: 'what the API answers, one answer a line' },
  help: { type: 'boolean', short: 'h', help: 'this page' },
  limit: { type: 'string', value: 'N', help: 'most rows (default: 100)' },
  all: { type: 'boolean', help: 'every row' },
  after: { type: 'string', value: 'NEXT', help: 'go on after the "next" of an earlier answer' },
  follow: {
    type: 'boolean',
    help: 'wait for more; begins now unless --since or --after says where',
  },
  since: { type: 'string', value: 'TIME', help: 'only what was detected since, RFC 3339' },
  stream: { type: 'string', value: 'NAME', help: 'machine-actions, investigations or av-health' },
  type: { type: 'string', value: 'TYPE', help: 'only this type' },
  machine: { type: 'string', value: 'ID', help: 'only this device' },
  item: { type: 'string', value: 'ID', help: 'only this item' },
  state: { type: 'string', value: 'STATE', help: 'only this state' },
  requestor: { type: 'string', value: 'WHO', help: 'only what was asked for by this one' },
  alert: { type: 'string', value: 'ID', help: 'only what this alert has triggered' },
  method: { type: 'string', value: 'METHOD', help: 'auto, files or json' },
  force: { type: 'boolean', help: 'also when the export was imported before' },
  wait: { type: 'boolean', help: 'until it is over' },
  minutes: { type: 'string', value: 'N', help: 'longest wait, 1 to 10080 (default: 4380)' },
  description: { type: 'string', value: 'TEXT', help: 'a word on what it is for' },
  filter: {
    type: 'string',
    value: 'JSON',
    help: `such as '{"actionTypes":["Isolate"],"terminalOnly":true}'`,
  },
  'content-type': {
    type: 'string',
    value: 'TYPE',
    help: 'application/cloudevents+json or application/json',
  },
  run: { type: 'string', value: 'ID', help: 'number or UUID of a run (default: the latest)' },
} as const satisfies Record<
  string,
  { type: 'string' | 'boolean'; value?: string; short?: string; help: string }
>

/** The name of an option, without its dashes. */
export type OptionName = keyof typeof optionTable

/** What every command takes. */
export const commonOptions: readonly OptionName[] = ['url', 'key', 'data', 'json', 'help']
/** What every list takes besides. */
export const listOptions: readonly OptionName[] = ['limit', 'all', 'after']

/** Splits a command line into options and the rest; throws a `UsageError`. */
export function splitCommandLine(args: string[]) {
  try {
    return parseArgs({ args, allowPositionals: true, options: optionTable })
  } catch (error) {
    throw new UsageError(whatIsWrong(error as Error))
  }
}

/** The options that were typed. */
export type Options = ReturnType<typeof splitCommandLine>['values']
