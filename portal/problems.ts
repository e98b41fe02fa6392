import type { Answers, StatusProblem } from './answers.ts'

type Status = Answers['GET /status']

export const sectionTitles = {
  changes: 'Changes',
  avHealth: 'Antivirus health',
  scanHistory: 'Scan history',
} as const

export type SectionName = keyof typeof sectionTitles
export const sectionNames = Object.keys(sectionTitles) as SectionName[]

/** What is wrong, each problem once: several sections may have the same one. */
export function problemsOf({ sections }: Pick<Status, 'sections'>) {
  const found = new Map<string, { where: string[]; problem: StatusProblem }>()
  for (const name of sectionNames)
    for (const problem of sections[name].problems) {
      const entry = found.get(problem.title) ?? { where: [], problem }
      entry.where.push(sectionTitles[name])
      found.set(problem.title, entry)
    }
  return [...found.values()].map(({ where, problem }) => ({ where: where.join(', '), problem }))
}

/** Without storage hardly anything is known: that is not the same as not set up. */
export const isStorageDown = ({ changes, sections }: Pick<Status, 'changes' | 'sections'>) =>
  changes === null && sections.changes.state === 'degraded'
