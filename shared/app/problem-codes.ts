import { z } from 'zod'

/**
 * `error`: a part of the app does not work. `warning`: it works, and somebody should act. `notice`: good to know. Each has
 * one alert rule in `bicep/modules/alerts.bicep`.
 */
export const severities = ['error', 'warning', 'notice'] as const

const error = { severity: 'error', alert: true } as const
const warning = { severity: 'warning', alert: true } as const
const notice = { severity: 'notice', alert: false } as const

/** Every problem that `status` and the heartbeat can name; `docs/operate.md` has a paragraph for each. */
export const problemCodes = {
  'setting-wrong': error,
  'storage-unreachable': error,
  'no-identity': error,
  forbidden: error,
  unreachable: error,
  incompatible: error,
  'route-gone': error,
  /** A single 404 says little. */
  'route-not-found': { ...warning, alert: false },
  'route-ending': warning,
  throttled: warning,
  'polls-stopped': error,
  /** When polls go on to fail, `polls-stopped` alerts. */
  'poll-failed': { ...warning, alert: false },
  'poll-gap': notice,
  'not-polled-yet': notice,
  'items-missing': warning,
  'unknown-states': notice,
  'rows-rejected': { ...notice, alert: true },
  'rows-unreadable': warning,
  'runs-stopped': error,
  'run-failed': warning,
  /** It continues by itself. */
  'run-waiting': { ...warning, alert: false },
  'snapshot-old': warning,
  'changes-unknown': warning,
  'parquet-missing': warning,
  'fields-unreadable': notice,
  'export-by-pages': notice,
  'deliveries-late': warning,
  'dead-letters': warning,
  'secret-missing': warning,
  'subscription-failing': warning,
  'subscription-disabled': warning,
  'subscription-retrying': notice,
  'subscription-paused': notice,
} as const

export type ProblemCode = keyof typeof problemCodes

const codes = Object.keys(problemCodes) as ProblemCode[]

/** Something that is wrong or good to know, and what to do. One cause makes one problem. */
export const problemSchema = z.strictObject({
  code: z.enum(codes),
  severity: z.enum(severities),
  title: z.string(),
  since: z.string().nullable().describe('Null while it is not known.'),
  cause: z.string(),
  fix: z.string(),
  consequences: z.array(z.string()).describe('What follows from it.'),
})
export type Problem = z.infer<typeof problemSchema>

export type SectionName = 'changes' | 'scanHistory' | 'avHealth'

/** A problem with the sections of the status that it concerns. */
export interface FoundProblem extends Problem {
  sections: SectionName[]
}

type Texts = Pick<Problem, 'title' | 'cause' | 'fix'> &
  Partial<Pick<Problem, 'since' | 'consequences'>>

export type Findings = ReturnType<typeof createFindings>

/** Collects problems. Those of one code and key have one cause: they are one, with the consequences of all. */
export function createFindings() {
  const found = new Map<string, FoundProblem>()
  const rank = ({ severity }: FoundProblem) => severities.indexOf(severity)
  return {
    add(
      code: ProblemCode,
      sections: SectionName[],
      { title, since = null, cause, fix, consequences = [] }: Texts,
      key = title,
    ): FoundProblem {
      const { severity } = problemCodes[code]
      const known = found.get(`${code} ${key}`) ?? {
        ...{ code, severity, title, since, cause, fix },
        consequences: [],
        sections: [],
      }
      found.set(`${code} ${key}`, known)
      known.sections = [...new Set([...known.sections, ...sections])]
      known.consequences.push(...consequences)
      if (since !== null && (known.since ?? since) >= since) known.since = since
      return known
    },
    /** The worst first. */
    all: () => [...found.values()].sort((one, other) => rank(one) - rank(other)),
  }
}
