/** Every option; `value` is the name of its value in the help. */
export const optionTable = {
  url: {
    type: 'string',
    value: 'ORIGIN',
    help: 'the app (default: RELAY_URL, else the local one)',
  },
  key: {
    type: 'string',
    value: 'KEY',
    help: 'function key (default: RELAY_KEY, else the key of the data folder)',
  },
  data: { type: 'string', value: 'DIR', help: 'data folder of the local app (default: .local)' },
  json: { type: 'boolean', help: 'print the answers of the API, one on each line' },
  help: { type: 'boolean', short: 'h', help: 'this page' },
  limit: { type: 'string', value: 'N', help: 'maximum number of rows (default: 100)' },
  all: { type: 'boolean', help: 'all rows' },
  after: { type: 'string', value: 'NEXT', help: 'continue after the "next" of an earlier answer' },
  follow: {
    type: 'boolean',
    help: 'wait for new rows; starts now without --since or --after',
  },
  since: { type: 'string', value: 'TIME', help: 'since this time, RFC 3339, or so long ago: 7d' },
  stream: {
    type: 'string',
    value: 'NAME',
    help: 'machine-actions, investigations, av-health or operations',
  },
  type: { type: 'string', value: 'TYPE', help: 'only this type' },
  machine: { type: 'string', value: 'ID', help: 'only this device' },
  item: { type: 'string', value: 'ID', help: 'only this item' },
  state: { type: 'string', value: 'STATE', help: 'only this state' },
  requestor: { type: 'string', value: 'WHO', help: 'only actions of this requestor' },
  alert: { type: 'string', value: 'ID', help: 'only investigations that this alert triggered' },
  method: { type: 'string', value: 'METHOD', help: 'auto, files or json' },
  force: { type: 'boolean', help: 'import the export again, also when it is unchanged' },
  wait: { type: 'boolean', help: 'wait until the run is over' },
  minutes: { type: 'string', value: 'N', help: 'longest wait, 1 to 10080 (default: 4380)' },
  description: { type: 'string', value: 'TEXT', help: 'a note on the purpose' },
  filter: {
    type: 'string',
    value: 'JSON',
    help: `for example '{"actionTypes":["Isolate"],"terminalOnly":true}'`,
  },
  'content-type': {
    type: 'string',
    value: 'TYPE',
    help: 'application/cloudevents+json or application/json',
  },
  'callback-url': { type: 'string', value: 'URL', help: 'the new callback URL, - for stdin' },
  headers: {
    type: 'string',
    value: 'JSON',
    help: `headers of its posts, - for stdin: '[{"name":"x-key","value":"…"}]'`,
  },
  'expires-at': { type: 'string', value: 'TIME', help: 'it ends at this time, RFC 3339' },
  'fail-on': { type: 'string', value: 'STATES', help: 'end with 1 in these: Failed,Cancelled' },
  csv: { type: 'string', value: 'FILE', help: 'write all rows to this file as CSV' },
  condition: { type: 'string', value: 'NAME', help: 'for example signature-stale or scan-overdue' },
  mode: { type: 'string', value: 'MODE', help: 'for example active, passive or disabled' },
  group: { type: 'string', value: 'NAME', help: 'only this device group' },
  os: { type: 'string', value: 'NAME', help: 'for example Windows11 or linux' },
  name: { type: 'string', value: 'NAME', help: "a device's name, or its beginning with *" },
  'seen-before': { type: 'string', value: 'TIME', help: 'last seen before this time, or 7d ago' },
  isolation: { type: 'string', value: 'STATE', help: 'isolated, selective or released' },
  pending: { type: 'string', value: 'TYPE', help: 'with an open action of this type, or any' },
  sort: { type: 'string', value: 'ORDER', help: 'id, worst or name' },
  'open-for': { type: 'string', value: 'TIME', help: 'open for at least so long: 7d, 12h, 30m' },
  'created-after': { type: 'string', value: 'TIME', help: 'created since this time, or 7d ago' },
  'created-before': { type: 'string', value: 'TIME', help: 'created before this time, or 7d ago' },
  until: { type: 'string', value: 'TIME', help: 'only before this time' },
  kind: {
    type: 'string',
    value: 'KIND',
    help: 'for example signature-stale; of events: machine-action',
  },
  at: { type: 'string', value: 'TIME', help: 'the snapshot of this time, or of 7d ago' },
  days: { type: 'string', value: 'N', help: 'how many days, 1 to 400 (default: 30)' },
  by: { type: 'string', value: 'NAME', help: 'for example mode, group, os or signature' },
  run: { type: 'string', value: 'ID', help: 'number or UUID of a run (default: the latest)' },
} as const satisfies Record<
  string,
  { type: 'string' | 'boolean'; value?: string; short?: string; help: string }
>

/** The name of an option, without its dashes. */
export type OptionName = keyof typeof optionTable

/** Options of every command. */
export const commonOptions: readonly OptionName[] = ['url', 'key', 'data', 'json', 'help']
/** More options of every list. */
export const listOptions: readonly OptionName[] = ['limit', 'all', 'after']
