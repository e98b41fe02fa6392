/** One setting that is missing or wrong, in words an operator can act on; never the value itself. */
export interface SettingProblem {
  setting: string
  problem: string
}

/** The app is set up wrongly: the operator mends it. Names every problem of a section at once, never a value. */
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

/** The facts of a refused request. `problem` is the kebab-case name behind `urn:defender-relay:`. */
export interface RequestFacts {
  status: 400 | 404 | 409 | 410 | 411 | 413 | 415 | 429
  problem: string
  title: string
  detail: string
  fix?: string
  errors?: { path: string; message: string }[]
  retryAfterMs?: number
}

/** The caller asked for something that can't be done: the caller mends it. */
export class RequestError extends Error {
  readonly facts: RequestFacts

  constructor(facts: RequestFacts) {
    super(facts.detail)
    this.name = 'RequestError'
    this.facts = facts
  }
}

/** The facts of a failed upstream call. `status` is absent when there was no answer at all. */
export interface UpstreamFacts {
  upstream: string
  /** What was asked, without query or secret, for instance `GET /api/machines/InfoGatheringExport`. */
  call: string
  status?: number
  /** The upstream's own error code, for instance `TooManyRequests`. */
  code?: string
  retryable: boolean
  retryAfterMs?: number
  /** With 429 of the upstream: what there was too much of. */
  throttle?: Throttle
  /** Why there was no usable answer. */
  reason: 'refused' | 'timeout' | 'network' | 'too-large' | 'truncated' | 'forbidden-host'
  /** What the upstream said, redacted and short. */
  said?: string
  /** The upstream's id of this failure, for its support. */
  correlation?: string
  /** It may be about the one item that was asked for: nothing follows for the upstream as a whole. */
  itemOnly?: boolean
  /** App roles of which any one would do, where the upstream refused for want of a permission. */
  missing?: string[]
  /** What our token says about itself, where the upstream refused it; never the token. */
  claims?: { aud: string | null; roles: string[] }
}

/** An upstream did not do its part: it (or its administrator) mends it. Holds no URL query, no header, no token. */
export class UpstreamError extends Error {
  readonly facts: UpstreamFacts

  constructor(facts: UpstreamFacts) {
    const outcome =
      facts.status === undefined
        ? facts.reason
        : `${facts.status}${facts.code ? ` ${facts.code}` : ''}`
    super(`${facts.upstream}: ${facts.call}: ${outcome}`)
    this.name = 'UpstreamError'
    this.facts = facts
  }
}

/** An upstream answered in a shape we do not know: its answer changed and we mend it. */
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

/** Does one piece of work after the other, also after one that failed; throws what failed, several as one AggregateError. */
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

/** Why an upstream answered 429: too many calls in a time, too many at once, or the same export is under way already. */
export type Throttle = 'rate' | 'concurrency' | 'duplicate-export'
