import { guid } from '../random.ts'
import {
  findingsOf,
  findRun,
  type RunNow,
  runNow,
  type Severities,
  severityNames,
  type TenableRun,
  type TenableScan,
  totalOf,
} from './tenable-scan.ts'

type Json = Record<string, unknown>

/** The details of a scan and one of its runs; `runs` are the runs that the details list, in their order. */
export function encodeDetails(
  scan: TenableScan,
  run: TenableRun | undefined,
  runs: TenableRun[],
  now: Date,
): Json {
  const stands = run && runNow(run, now)
  const findings =
    run && stands ? findingsOf(run).slice(0, stands.startedAtMs === null ? 0 : undefined) : []
  const total = totalOf(findings)
  const rest = {
    history:
      scan.kind === 'triggered-agent' ? [] : runs.map((one) => encodeOwnHistory(scan, one, now)),
    notes:
      findings.length > 0
        ? [{ title: 'A note', message: 'One host answered late.', severity: 1 }]
        : [],
    remediations: encodeRemediations(total.high + total.critical, findings.length),
  }
  // The fields that an archived run does not have are absent, not empty.
  if (stands?.isArchived) return { info: encodeInfo(scan, run, stands), ...rest }
  const done = stands?.isOver === false ? 0.5 : 1
  return {
    info: { ...encodeInfo(scan, run, stands), hostcount: findings.length },
    hosts: findings.map((found, place) => encodeHost(found, place, done)),
    vulnerabilities: encodeVulnerabilities(total),
    comphosts: [],
    compliance: findings.length > 0 ? [complianceRow] : [],
    filters: [filterRow],
    ...rest,
  }
}

function encodeInfo(
  scan: TenableScan,
  run: TenableRun | undefined,
  stands: RunNow | undefined,
): Json {
  const { kind } = scan
  const isImported = kind === 'imported'
  const isArchived = stands?.isArchived ?? false
  const own = <T>(value: T) => (isImported ? null : value)
  const start = seconds(stands?.startedAtMs)
  const end = seconds(stands?.endedAtMs)
  return {
    owner: 'scans@contoso.example',
    name: scan.name,
    no_target: false,
    folder_id: 3,
    control: !isImported,
    user_permissions: 128,
    schedule_uuid: scan.scheduleUuid,
    edit_allowed: false,
    scanner_name: own('US Cloud Scanner'),
    policy: own('Basic Network Scan'),
    shared: null,
    object_id: scan.id,
    tag_targets: null,
    acls: [
      {
        permissions: 0,
        owner: null,
        display_name: null,
        name: null,
        uuid: null,
        id: null,
        type: 'default',
      },
    ],
    uuid: run?.uuid ?? null,
    status: stands?.status ?? 'empty',
    scan_type: own(kind === 'triggered-agent' ? 'agent' : 'ps'),
    targets: own('192.0.2.0/24'),
    alt_targets_used: own(false),
    'pci-can-upload': own(false),
    scan_start: start,
    scan_end: end,
    timestamp: end ?? start,
    is_archived: isArchived,
    reindexing: stands?.status === 'publishing',
    haskb: !isArchived && stands?.isOver === true,
    hasaudittrail: !isArchived && stands?.isOver === true,
    scanner_start: start,
    scanner_end: end,
  }
}

/** A run as the details list it: the list of runs uses other names. */
function encodeOwnHistory(scan: TenableScan, run: TenableRun, now: Date): Json {
  const stands = runNow(run, now)
  return {
    history_id: run.id,
    uuid: run.uuid,
    owner_id: 1,
    status: stands.status,
    type: scan.kind === 'imported' ? null : 'remote',
    creation_date: seconds(stands.startedAtMs),
    last_modification_date: seconds(stands.endedAtMs ?? stands.startedAtMs),
    scheduler: 0,
    alt_targets_used: scan.kind === 'imported' ? null : false,
    is_archived: stands.isArchived,
  }
}

/** A run as the list of runs has it. */
export function encodeRun(run: TenableRun, now: Date): Json {
  const stands = runNow(run, now)
  return {
    id: run.id,
    scan_uuid: run.uuid,
    status: stands.status,
    reporting_mode: null,
    is_archived: stands.isArchived,
    visibility: 'public',
    targets: { custom: false, default: null },
    time_start: seconds(stands.startedAtMs),
    time_end: seconds(stands.endedAtMs),
  }
}

/** A scan as the list of scans has it; a scan that was never launched has dates of 0. */
export function encodeScan(scan: TenableScan, now: Date): Json {
  const newest = findRun(scan, null)
  const stands = newest && runNow(newest, now)
  const start = seconds(stands?.startedAtMs) ?? 0
  return {
    id: scan.id,
    uuid: newest?.uuid ?? null,
    schedule_uuid: scan.scheduleUuid,
    name: scan.name,
    status: stands?.status ?? 'empty',
    type: { remote: 'remote', 'triggered-agent': 'agent', imported: null, 'web-app': 'webapp' }[
      scan.kind
    ],
    owner: 'scans@contoso.example',
    folder_id: 3,
    enabled: false,
    control: scan.kind !== 'imported',
    read: false,
    shared: false,
    user_permissions: 128,
    creation_date: start,
    last_modification_date: seconds(stands?.endedAtMs) ?? start,
    starttime: null,
    rrules: null,
    timezone: null,
  }
}

const seconds = (ms: number | null | undefined) =>
  ms === null || ms === undefined ? null : Math.floor(ms / 1000)

const encodeRemediations = (cves: number, hosts: number): Json => ({
  num_cves: cves,
  num_hosts: hosts,
  num_remediated_cves: Math.floor(cves / 2),
  num_impacted_hosts: Math.ceil(hosts / 2),
  remediations:
    cves === 0 ? [] : [{ vulns: cves, value: 'a1b2', hosts, remediation: 'Install the update.' }],
})

const complianceRow = {
  count: 1,
  plugin_id: 'f0e1d2c3b4a5968778695a4b3c2d1e0f',
  plugin_name: 'A setting',
  plugin_family: 'Policy',
  severity: 3,
  severity_index: 0,
}

const filterRow = {
  name: 'plugin.id',
  readable_name: 'Plugin ID',
  operators: ['eq', 'neq'],
  group_name: null,
  control: {
    type: 'entry',
    regex: '^[0-9, ]+$',
    readable_regex: 'NUMBER',
    maxlength: 18,
    list: null,
  },
}

/** A row of `hosts[]`; `done` is the share of its checks that are finished. */
export function encodeHost(
  found: Severities,
  place: number,
  done: number,
): Record<string, unknown> {
  const counts = severityNames.map((name) => found[name])
  const checks = Math.round(200 * done)
  return {
    asset_id: place + 1,
    host_id: place + 1,
    uuid: guid(place, 54),
    hostname: place % 3 === 0 ? `host-${place + 1}.contoso.example` : addressOf(place),
    progress: `${checks / 2}-100/${checks}-200`,
    scanprogresscurrent: checks / 2,
    scanprogresstotal: 100,
    numchecksconsidered: checks,
    totalchecksconsidered: 200,
    severitycount: { item: counts.map((count, severitylevel) => ({ count, severitylevel })) },
    // The number of findings, whatever the name says.
    severity: counts.reduce((sum, count) => sum + count, 0),
    score: counts.reduce((sum, count, level) => sum + count * 10 ** level, 0),
    ...found,
    host_index: place,
  }
}

/** Rows of `vulnerabilities[]`: here one plugin for each severity. */
export function encodeVulnerabilities(total: Severities): Record<string, unknown>[] {
  return severityNames.flatMap((name, severity) =>
    total[name] === 0
      ? []
      : {
          count: total[name],
          plugin_id: 19_506 + severity * 1000,
          plugin_name: `A finding of severity ${name}`,
          plugin_family: 'General',
          severity,
          vuln_index: severity + 1,
          severity_index: severity,
        },
  )
}

const addressOf = (place: number) => `192.0.2.${place % 254}`
