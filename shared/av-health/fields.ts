/** How a field's value is read. */
export type FieldType = 'text' | 'time' | 'flag' | 'mode' | 'number' | 'scans' | 'gathered'

/** A field of the snapshot row and how its value is read. */
interface Field {
  column: string
  type: FieldType
}

const text = [
  'computerDnsName',
  'osKind',
  'osPlatform',
  'osVersion',
  'avSignatureVersion',
  'avEngineVersion',
]
const moreText = [
  'avPlatformVersion',
  'quickScanResult',
  'quickScanError',
  'fullScanResult',
  'fullScanError',
]
const rings = [
  'avSignatureRing',
  'avPlatformRing',
  'avEngineRing',
  'cloudProtectionState',
  'rbacGroupName',
]
const customScan = ['customScanResult', 'customScanError']
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

/** The up-to-date flags: text `true`, `false` or `unknown`. */
export const flagColumns = [
  'avIsSignatureUpToDate',
  'avIsEngineUpToDate',
  'avIsPlatformUpToDate',
] as const

const fields = new Map<string, Field>()
const add = (type: FieldType, ...columns: string[]) => {
  for (const column of columns) fields.set(column.toLowerCase(), { column, type: type })
}
add('text', ...text, ...moreText, ...rings, ...customScan)
add('time', ...times)
add('flag', ...flagColumns)
add('mode', 'avMode')
add('number', 'rbacGroupId')
add('scans', 'avScanResults')
add('gathered', 'deviceGatheredInfo')

// The files' own names for columns of the JSON method.
fields.set('devicename', { column: 'computerDnsName', type: 'text' })
fields.set('timestamp', { column: 'dataRefreshTimestamp', type: 'time' })

/** Fields that came with the export and are known, but say nothing of antivirus health: kept, and not counted as unknown. */
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
  ].map((name) => name.toLowerCase()),
)

// Names come in many spellings but few: each is looked up by its lower-case form once.
const bySpelling = new Map<string, Field | undefined>()
const MAX_SPELLINGS = 2000
const LONGEST_SPELLING = 64

/** The field a name stands for, in whatever spelling; undefined for others. */
export function fieldOf(name: string): Field | undefined {
  const known = bySpelling.get(name)
  if (known || bySpelling.has(name)) return known
  const field = fields.get(name.toLowerCase())
  if (name.length <= LONGEST_SPELLING && bySpelling.size < MAX_SPELLINGS)
    bySpelling.set(name, field)
  return field
}

/** Whether a field is known to have nothing to do with antivirus health. TLS and SSL registry settings come in many names. */
export const isIgnored = (name: string): boolean =>
  ignoredFields.has(name.toLowerCase()) || /(?:tls|ssl)/i.test(name)

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

/** The kind of operating system behind a platform name; undefined where the name does not tell. */
export function osKindOf(platform: string): string | undefined {
  if (/^windows/i.test(platform)) return 'windows'
  if (/^mac/i.test(platform)) return 'mac'
  return /linux|ubuntu|debian|centos|redhat|rhel|suse|sles|fedora|oracle|amazon|alma|rocky|mariner/i.test(
    platform,
  )
    ? 'linux'
    : undefined
}
