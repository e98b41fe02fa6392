import { createRandom, guid } from '../random.ts'

/** Findings by severity. */
export interface Severities {
  info: number
  low: number
  medium: number
  high: number
  critical: number
}

/** From the lowest on, as the levels 0 to 4 count them. */
export const severityNames = ['info', 'low', 'medium', 'high', 'critical'] as const

/** The findings on each host of a run; the same for the same run where only their number is given. */
export function findingsOf({
  id,
  hosts,
}: {
  id: number
  hosts: Severities[] | number
}): Severities[] {
  if (Array.isArray(hosts)) return hosts
  const random = createRandom(id, 53)
  return Array.from({ length: hosts }, () => ({
    info: 10 + random.int(60),
    low: random.int(4),
    medium: random.int(12),
    high: random.int(6),
    critical: random.chance(0.3) ? random.int(4) : 0,
  }))
}

/** Findings of all hosts together. */
export function totalOf(findings: Severities[]): Severities {
  const total: Severities = { info: 0, low: 0, medium: 0, high: 0, critical: 0 }
  for (const one of findings) for (const name of severityNames) total[name] += one[name]
  return total
}

/** A row of `hosts[]`; `done` is the share of its checks that have been made. */
export function spellHost(found: Severities, place: number, done: number): Record<string, unknown> {
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

/** Rows of `vulnerabilities[]`: here one plugin stands for each severity. */
export function spellVulnerabilities(total: Severities): Record<string, unknown>[] {
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
