/** A line in Application Insights: its text and its time. */
export interface Trace {
  at: Date
  message: string
}

const form = new RegExp(
  [
    String.raw`^traces\n`,
    String.raw`(?:\| where timestamp > ago\((?<hours>\d+)h\)\n)?`,
    String.raw`\| where message startswith_cs "(?<message>[^"\\{]+) \{"\n`,
    String.raw`(?:\| extend facts = parse_json\(substring\(message, indexof\(message, "\{"\)\)\)\n`,
    String.raw`\| where (?:tostring\(facts\.(?<text>\w+)\) == "(?<is>[^"\\]+)"|toint\(facts\.(?<number>\w+)\) > (?<most>\d+))\n)?$`,
  ].join(''),
)

/** A query in the only allowed form: an exact message, and at most one comparison of one of its facts. */
export interface Query {
  message: string
  /** Hours that it looks back, when that is less than the window. */
  hours: number | null
  matches(facts: Record<string, unknown>): boolean
}

/** Reads a query; throws for any other form, since it can't be evaluated here. */
export function readQuery(text: string): Query {
  const groups = form.exec(text)?.groups
  if (!groups) throw new Error(`a query of another form: ${text}`)
  const { hours, message = '', text: word, is, number, most } = groups
  return {
    message,
    hours: hours === undefined ? null : Number(hours),
    matches(facts) {
      if (word !== undefined) return facts[word] === is
      return number === undefined || Number(facts[number]) > Number(most)
    },
  }
}

/** The lines before `now` that a query finds. */
export function findTraces(
  { message, hours, matches }: Query,
  traces: Trace[],
  windowMs: number,
  now: Date,
): Trace[] {
  const fromMs = now.getTime() - Math.min(windowMs, hours === null ? windowMs : hours * 3_600_000)
  return traces.filter(({ at, message: line }) => {
    if (at.getTime() <= fromMs || at > now || !line.startsWith(`${message} {`)) return false
    return matches(JSON.parse(line.slice(line.indexOf('{'))))
  })
}

/** Milliseconds of a duration such as PT15M or P2D. */
export function toMs(duration: string): number {
  const [, days = 0, hours = 0, minutes = 0] =
    /^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?)?$/.exec(duration) ?? []
  return ((Number(days) * 24 + Number(hours)) * 60 + Number(minutes)) * 60_000
}

/** Whether a rule fires for a number of lines. As in Azure, no lines count as 0. */
export function fires(
  { operator, threshold }: { operator: string; threshold: number },
  count: number,
): boolean {
  if (operator === 'GreaterThan') return count > threshold
  if (operator === 'LessThan') return count < threshold
  throw new Error(`an operator that no rule needs: ${operator}`)
}
