/** How the value of a field is read. */
export type FieldType = 'text' | 'time' | 'flag' | 'mode' | 'number' | 'scans' | 'nested'

/** A field of the snapshot row. */
interface Field {
  column: string
  type: FieldType
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

const fields = new Map<string, Field>()
const add = (type: FieldType, ...columns: string[]) => {
  for (const column of columns) fields.set(column.toLowerCase(), { column, type })
}
add('text', ...texts)
add('time', ...times)
add('flag', ...flagColumns)
add('mode', 'avMode')
add('number', 'rbacGroupId')
add('scans', 'avScanResults')
add('nested', 'deviceGatheredInfo')

// The names that export files use for columns of the JSON method.
fields.set('devicename', { column: 'computerDnsName', type: 'text' })
fields.set('timestamp', { column: 'dataRefreshTimestamp', type: 'time' })

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

// A name has few spellings: each spelling is looked up by its lower-case form once.
const bySpelling = new Map<string, Field | undefined>()
const MAX_SPELLINGS = 2000
const MAX_SPELLING = 64

/** The field with this name, in any spelling; undefined when there is none. */
export function findField(name: string): Field | undefined {
  const known = bySpelling.get(name)
  if (known || bySpelling.has(name)) return known
  const field = fields.get(name.toLowerCase())
  if (name.length <= MAX_SPELLING && bySpelling.size < MAX_SPELLINGS) bySpelling.set(name, field)
  return field
}

/** Whether a field has nothing to do with antivirus health. Registry settings of TLS have many names. */
export const isIgnored = (name: string): boolean =>
  ignoredFields.has(name.toLowerCase()) || /tls|ssl|SchUseStrongCrypto/i.test(name)

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
