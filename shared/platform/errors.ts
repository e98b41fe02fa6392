/** One setting that is missing or wrong; never its value. */
export interface SettingProblem {
  setting: string
  problem: string
  /** What to do, where it is not to set the setting. */
  fix?: string
}

/** The settings of a section are wrong: the operator fixes them. */
export class ConfigError extends Error {
  readonly section: string
  readonly problems: SettingProblem[]

  constructor(section: string, problems: SettingProblem[]) {
    super(
      `${section}: ${problems.map(({ setting, problem }) => `${setting} ${problem}`).join('; ')}`,
    )
    this.name = 'ConfigError'
    this.section = section
    this.problems = problems
  }
}

interface RequestFacts {
  status: 400 | 404 | 409 | 410 | 411 | 413 | 415 | 429
  /** The kebab-case name behind `urn:defender-relay:`. */
  problem: string
  title: string
  detail: string
  fix?: string
  errors?: { path: string; message: string }[]
  /** What the caller waited for. */
  item?: Record<string, unknown>
  retryAfterMs?: number
}

/** The request is wrong: the caller fixes it. */
export class RequestError extends Error {
  readonly facts: RequestFacts

  constructor(facts: RequestFacts) {
    super(facts.detail)
    this.name = 'RequestError'
    this.facts = facts
  }
}

/** The facts of a failed upstream call, without URL query, header or token. */
export interface UpstreamFacts {
  upstream: string
  /** The call without query or secret, for instance `GET /api/machines/InfoGatheringExport`. */
  call: string
  /** Absent when there was no answer. */
  status?: number
  /** The upstream's own error code, for instance `TooManyRequests`. */
  code?: string
  retryable: boolean
  retryAfterMs?: number
  throttle?: Throttle
  /** Why there was no usable answer. */
  reason: 'refused' | 'timeout' | 'network' | 'too-large' | 'truncated' | 'forbidden-host'
  /** The upstream's text, redacted and short. */
  said?: string
  /** The upstream's id of this failure, for its support staff. */
  correlation?: string
  /** It may concern only the requested item, not the upstream as a whole. */
  itemOnly?: boolean
  /** What to do, if that is not the usual. */
  fix?: string
  /** The app lacks a permission: any one of these is enough. */
  missing?: string[]
  /** Claims of our token, when the upstream refused it; never the token. */
  claims?: { aud: string | null; roles: string[] }
}

/** An upstream failed or refused: it, or its administrator, fixes that. */
export class UpstreamError extends Error {
  readonly facts: UpstreamFacts

  constructor(facts: UpstreamFacts) {
    const { upstream, call, status, code, reason } = facts
    const budget =
      reason === 'timeout'
        ? "the table of the app's own budget does not answer"
        : "the app's own budget allows no call now"
    const own = code === 'OwnBudget' && budget
    const answer = own || (code ? `${status} ${code}` : status)
    super(`${upstream}: ${call}: ${status === undefined ? reason : answer}`)
    this.name = 'UpstreamError'
    this.facts = facts
  }
}

/** Undefined instead of an upstream's 404. */
export async function unlessMissing<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer
  } catch (error) {
    if (error instanceof UpstreamError && error.facts.status === 404) return undefined
    throw error
  }
}

/** An upstream's answer has an unknown shape: this app must be fixed. */
export class ShapeError extends Error {
  readonly upstream: string
  readonly call: string

  constructor(upstream: string, call: string, what: string) {
    super(`${upstream}: ${call}: ${what}`)
    this.name = 'ShapeError'
    this.upstream = upstream
    this.call = call
  }
}

/** Does all work, one after the other, also after a failure; then throws the failure, or an AggregateError of several. */
export async function finishAll(works: Iterable<() => Promise<unknown>>): Promise<void> {
  const failures: unknown[] = []
  for (const work of works) {
    try {
      await work()
    } catch (error) {
      failures.push(error)
    }
  }
  if (failures.length === 1) throw failures[0]
  if (failures.length > 1) throw new AggregateError(failures, failures.map(String).join('; '))
}

/** The reason for a 429: too many calls in a time, too many at once, or the same export is still running. */
export type Throttle = 'rate' | 'concurrency' | 'duplicate-export'
