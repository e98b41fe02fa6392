import type { Answers, StatusProblem } from './answers.ts'

type Status = Answers['GET /status']

export const sectionTitles = {
  changes: 'Actions and investigations',
  avHealth: 'Antivirus health',
  scanHistory: 'Scan history',
} as const

export type SectionName = keyof typeof sectionTitles
export const sectionNames = Object.keys(sectionTitles) as SectionName[]

/** A problem with what not every version of the app says of it. */
export type DetailedProblem = StatusProblem & {
  severity?: string
  since?: string | null
  cause?: string
  consequences?: string[]
}

/** What is wrong, the worst first, each problem once: several sections may have the same one. */
export function problemsOf({ sections }: Pick<Status, 'sections'>) {
  const found = new Map<string, { where: string[]; problem: DetailedProblem }>()
  for (const name of sectionNames)
    for (const problem of sections[name].problems) {
      const entry = found.get(problem.title) ?? { where: [] as string[], problem }
      entry.where.push(sectionTitles[name])
      found.set(problem.title, entry)
    }
  const isError = ({ problem }: { problem: DetailedProblem }) => problem.severity === 'error'
  return [...found.values()]
    .sort((a, b) => Number(isError(b)) - Number(isError(a)))
    .map(({ where, problem }) => ({ where: where.join(', '), problem }))
}

/** Without storage hardly anything is known: that is not the same as not set up. */
export const isStorageDown = ({ changes, sections }: Pick<Status, 'changes' | 'sections'>) =>
  changes === null && sections.changes.state === 'degraded'
