/** How the value of a field is read. */
export type FieldType = 'text' | 'time' | 'flag' | 'mode' | 'number' | 'scans' | 'nested'

/** A field of the snapshot row; `slot` is the place of its column in `columns`. */
export interface Field {
  column: string
  type: FieldType
  slot: number
}

const texts = [
  'computerDnsName',
  'osKind',
  'osPlatform',
  'osVersion',
  'avSignatureVersion',
  'avEngineVersion',
  'avPlatformVersion',
  'quickScanResult',
  'quickScanError',
  'fullScanResult',
  'fullScanError',
  'customScanResult',
  'customScanError',
  'avSignatureRing',
  'avPlatformRing',
  'avEngineRing',
  'cloudProtectionState',
  'rbacGroupName',
]
const times = [
  'lastSeenTime',
  'quickScanTime',
  'fullScanTime',
  'customScanTime',
  'dataRefreshTimestamp',
  'avSignatureUpdateTime',
  'avEngineUpdateTime',
  'avPlatformUpdateTime',
  'avSignaturePublishTime',
  'avEnginePublishTime',
  'avPlatformPublishTime',
  'avPlatformExpirationTime',
  'avSignatureDataRefreshTime',
  'avModeDataRefreshTime',
]

/** The up-to-date flags: texts `true`, `false` or `unknown`. */
export const flagColumns = [
  'avIsSignatureUpToDate',
  'avIsEngineUpToDate',
  'avIsPlatformUpToDate',
] as const

/** The fields that answers rest on, and the two that hold them; the first two decide between duplicates. */
export const essentialColumns: ReadonlySet<string> = new Set([
  ...['dataRefreshTimestamp', 'lastSeenTime', 'avMode', ...flagColumns],
  ...['avSignatureVersion', 'avEngineVersion', 'avPlatformVersion', 'deviceGatheredInfo'],
  ...['quickScanResult', 'quickScanTime', 'fullScanResult', 'fullScanTime', 'avScanResults'],
])

/** The columns of a row after its id, with the types of their values; those without a field are made from others. */
export const columns: { name: string; type: FieldType }[] = []
const fields = new Map<string, Field>()
const add = (type: FieldType, ...names: string[]) => {
  for (const name of names) {
    fields.set(name.toLowerCase(), { column: name, type, slot: columns.length })
    columns.push({ name, type })
  }
}
add('text', ...texts)
add('time', ...times)
add('flag', ...flagColumns)
add('mode', 'avMode')
add('number', 'rbacGroupId')
columns.push({ name: 'avModeName', type: 'text' }, { name: 'other', type: 'text' })
fields.set('avscanresults', { column: 'avScanResults', type: 'scans', slot: -1 })
fields.set('devicegatheredinfo', { column: 'deviceGatheredInfo', type: 'nested', slot: -1 })

export const slotOf = (column: string): number => columns.findIndex(({ name }) => name === column)

function fieldOf(column: string): Field {
  const field = fields.get(column.toLowerCase())
  if (!field) throw new Error(`no field ${column}`)
  return field
}

// The names that export files use for columns of the JSON method.
fields.set('devicename', fieldOf('computerDnsName'))
fields.set('timestamp', fieldOf('dataRefreshTimestamp'))

/** The members of a scan result, by lower-case kind and name. */
const scanMembers = { scanstatus: 'Result', errorcode: 'Error', timestamp: 'Time' }
const scanFields = new Map(
  ['quick', 'full', 'custom'].map((kind) => [
    kind,
    new Map(
      Object.entries(scanMembers).map(([member, end]) => [member, fieldOf(`${kind}Scan${end}`)]),
    ),
  ]),
)

/** Known fields that say nothing about antivirus health: stored, but not counted as unknown. */
const ignoredFields = new Set(
  [
    'id',
    'wdavorHeartbeatEventType',
    'ebpfStatus',
    'isAvEngineLoaded',
    'log4j_CVE_2021_44228',
    'log4jLocalScanVulnerable',
    'log4JEnvironmentVariableMitigation',
    'localCveScannerExecuted',
    'spring4Shell_CVE_2022_22965',
    'bootiful_Mind_status',
    'cve_2022_30190_Mitigated',
    'asrConfigurationStates',
    'isWindowsLtscVersionRunning',
  ].map((name) => name.toLowerCase()),
)

const MAX_SPELLINGS = 2000
const MAX_SPELLING = 64

/** Remembers what is found for the spellings of names: a name has few, and each is looked into once. */
function bySpelling<T>(find: (name: string) => T): (name: string) => T {
  const found = new Map<string, T>()
  return (name) => {
    const known = found.get(name)
    if (known !== undefined || found.has(name)) return known as T
    const value = find(name)
    if (name.length <= MAX_SPELLING && found.size < MAX_SPELLINGS) found.set(name, value)
    return value
  }
}

/** The field with this name, in any spelling; undefined when there is none. */
export const findField = bySpelling((name) => fields.get(name.toLowerCase()))

/** The fields of a kind of scan by the names of its members, both in any spelling. */
export const findScan = bySpelling((kind) => {
  const members = scanFields.get(kind.toLowerCase())
  return members && bySpelling((name) => members.get(name.toLowerCase()))
})

/** Whether a field has nothing to do with antivirus health. Registry settings of TLS have many names. */
export const isIgnored = bySpelling(
  (name) => ignoredFields.has(name.toLowerCase()) || /tls|ssl|SchUseStrongCrypto/i.test(name),
)

/** The meanings of `avMode`. */
const modes = new Map([
  ['', 'other'],
  ['0', 'active'],
  ['1', 'passive'],
  ['2', 'disabled'],
  ['3', 'other'],
  ['4', 'edr-block-mode'],
  ['5', 'passive-audit'],
])

/** The meaning of an antivirus mode; `unknown` for a number that is not listed. */
export const modeName = (mode: string): string => modes.get(mode) ?? 'unknown'

/** The kind of operating system of a platform; undefined when its name does not say. */
export const osKind = bySpelling((platform): string | undefined => {
  if (/^windows/i.test(platform)) return 'windows'
  if (/^mac/i.test(platform)) return 'mac'
  return /linux|ubuntu|debian|centos|redhat|rhel|suse|sles|fedora|oracle|amazon|alma|rocky|mariner/i.test(
    platform,
  )
    ? 'linux'
    : undefined
})
