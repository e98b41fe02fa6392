import type { Answers, StatusProblem } from './answers.ts'
import type { Tone } from './elements.ts'

export type Overview = Answers['GET /overview']
export type Status = Overview['status']

export const sectionTitles = {
  changes: 'Actions and investigations',
  avHealth: 'Antivirus health',
  scanHistory: 'Scan history',
} as const

export type SectionName = keyof typeof sectionTitles
export const sectionNames = Object.keys(sectionTitles) as SectionName[]

/** The sections that a problem concerns, in words. */
export const concernedBy = ({ sections }: Status, { code, title }: StatusProblem): string =>
  sectionNames
    .filter((name) =>
      sections[name].problems.some((one) => one.code === code && one.title === title),
    )
    .map((name) => sectionTitles[name])
    .join(', ')

/** An error among them weighs more than any warning. */
export const toneOf = (problems: StatusProblem[]): Tone =>
  problems.some(({ severity }) => severity === 'error') ? 'bad' : 'warn'

/** Without storage hardly anything is known: that is not the same as not set up. */
export const isStorageDown = ({ problems }: Status): boolean =>
  problems.some(({ code }) => code === 'storage-unreachable')
