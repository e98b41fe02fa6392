/** A line in Application Insights: its text and its time. */
export interface Trace {
  at: Date
  message: string
}

const form = new RegExp(
  [
    String.raw`^traces\n`,
    String.raw`\| where message startswith_cs "(?<message>[^"\\{]+) \{"\n`,
    String.raw`\| extend facts = parse_json\(substring\(message, indexof\(message, "\{"\)\)\)\n`,
    String.raw`\| where tostring\(facts\.(?<fact>\w+)\) == "(?<is>[^"\\]+)"\n`,
    String.raw`(?:\| union \(traces \| where message startswith_cs "(?<absent>[^"\\{]+) \{"`,
    String.raw` \| summarize lines = count\(\) \| where lines == 0\)\n)?$`,
  ].join(''),
)

/** A query in the only allowed form: an exact message with one fact, and one row where another message is absent. */
export interface Query {
  message: string
  fact: string
  is: string
  /** The message whose absence is a row. */
  absent: string | null
}

/** Reads a query; throws for any other form, since it can't be evaluated here. */
export function readQuery(text: string): Query {
  const groups = form.exec(text)?.groups
  if (!groups) throw new Error(`a query of another form: ${text}`)
  const { message = '', fact = '', is = '', absent = null } = groups
  return { message, fact, is, absent }
}

/** How many rows a query has over the lines before `now`. */
export function countRows(
  { message, fact, is, absent }: Query,
  traces: Trace[],
  windowMs: number,
  now: Date,
): number {
  const fromMs = now.getTime() - windowMs
  const within = traces.filter(({ at }) => at.getTime() > fromMs && at <= now)
  const found = within.filter(
    ({ message: line }) =>
      line.startsWith(`${message} {`) && JSON.parse(line.slice(line.indexOf('{')))[fact] === is,
  )
  const isAbsent =
    absent !== null && !within.some(({ message: line }) => line.startsWith(`${absent} {`))
  return found.length + (isAbsent ? 1 : 0)
}

/** Milliseconds of a duration such as PT15M or P2D. */
export function toMs(duration: string): number {
  const [, days = 0, hours = 0, minutes = 0] =
    /^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?)?$/.exec(duration) ?? []
  return ((Number(days) * 24 + Number(hours)) * 60 + Number(minutes)) * 60_000
}
