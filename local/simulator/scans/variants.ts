type Json = Record<string, unknown>

/** What is odd in every answer of Tenable about a scan. */
export type TenableVariant =
  | ('no-host-list' | 'fewer-hosts' | 'reindexing' | 'running' | 'queued' | 'removed')
  | ('empty-again' | 'empty-run' | 'null-history')

/** What is odd in Defender's answers: fewer targets than counted, loose values, or no session of Windows devices since 2025. */
export type DefenderScanVariant = 'one-target-listed' | 'loose-definitions' | 'windows-retired'

/** Twenty months, after which Tenable no longer holds anything. */
const REMOVED_SECONDS = 20 * 30 * 86_400

/** The details of a run as this variant shows them. */
export function alterDetails(details: Json, variant: TenableVariant | null): Json {
  const { hosts, vulnerabilities, ...rest } = details
  const info = details.info as Json
  const older = (field: string) => ({ [field]: Number(info[field]) - REMOVED_SECONDS })
  if (variant === 'no-host-list') return { ...rest, vulnerabilities }
  if (variant === 'fewer-hosts') {
    const list = (hosts ?? []) as Json[]
    return { ...details, hosts: list.slice(0, Math.floor(list.length / 2)) }
  }
  if (variant === 'reindexing') return { ...details, info: { ...info, reindexing: true } }
  if (variant === 'running' || variant === 'queued') {
    const now = { status: variant, scan_end: null, hostcount: 0 }
    return { ...details, info: { ...info, ...now }, hosts: [], vulnerabilities: [] }
  }
  if (variant !== 'removed') return details
  const times = { ...older('scan_start'), ...older('scan_end'), ...older('timestamp') }
  return { ...rest, info: { ...info, ...times, is_archived: true, hostcount: undefined } }
}

/** A page of runs as this variant shows it. */
export function alterRuns(runs: Json[], variant: TenableVariant | null): Json[] | null {
  if (variant === 'null-history') return null
  if (variant === 'empty-run') return [emptyRun, ...runs]
  const [newest, ...older] = runs
  return newest && (variant === 'running' || variant === 'queued')
    ? [{ ...newest, status: variant, time_end: null }, ...older]
    : runs
}

const emptyRun: Json = {
  id: 1,
  scan_uuid: 'c0ffee00-0000-4000-8000-000000000001',
  status: 'empty',
  is_archived: false,
  time_start: null,
  time_end: null,
}

/** The word for the state of the newest run. */
export function alterWord(word: string, variant: TenableVariant | null): string {
  if (variant === 'empty-again' || variant === 'empty-run') return 'empty'
  return variant === 'running' || variant === 'queued' ? variant : word
}

/** A definition as this variant shows it. */
export function alterDefinition(definition: Json, variant: DefenderScanVariant | null): Json {
  if (variant === 'loose-definitions')
    return {
      ...definition,
      isActive: 'true',
      target: `${definition.target},`,
      latestScan: { status: null, failureReason: null, executionDateTime: null },
    }
  if (variant !== 'windows-retired' || definition.scanType !== 'Windows') return definition
  const executionDateTime = '2025-12-01T00:00:00Z'
  return { ...definition, latestScan: { ...(definition.latestScan as Json), executionDateTime } }
}
