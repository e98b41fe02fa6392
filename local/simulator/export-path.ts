import type { FleetOptions } from './fleet-options.ts'
import { groupNumber } from './groups.ts'
import { guid } from './random.ts'

/** Which group (from 0) the file at `index` (from 0) belongs to: neighbours share one. */
export function groupIndexOf(index: number, { files, groups }: FleetOptions): number {
  return Math.floor((index * groups) / files)
}

/** The file's path below the container: date and time of the snapshot, organisation, group, part of the writing job. */
export function exportPath(index: number, options: FleetOptions): string {
  const generated = new Date(options.generatedTime)
  const [date = '', time = ''] = generated.toISOString().split('T')
  const group = groupIndexOf(index, options)
  const part = index - Math.ceil((group * options.files) / options.groups)
  // One job writes all groups, which is why parts of different groups are named alike.
  const job = guid(
    options.seed,
    generated.getTime() / 1000,
    options.sameLastSegment ? 0 : index + 1,
  )
  return [
    `${date}/${time.slice(0, 2)}${time.slice(3, 5)}/InfoGatheringExport/json`,
    `OrgId=${guid(options.seed, 77)}/_RbacGroupId=${groupNumber(group).id}`,
    `part-${String(part).padStart(5, '0')}-${job}.c000.json.gz`,
  ].join('/')
}
