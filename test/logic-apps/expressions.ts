/** What an expression can see: functions of the run, such as `triggerBody` and `body`. */
export type Scope = Record<string, (...args: never[]) => unknown>

type Values = Record<string, unknown>

/** A value with its expressions evaluated, as Logic Apps does: https://learn.microsoft.com/azure/logic-apps/workflow-definition-language-functions-reference */
export function evaluate(value: unknown, scope: Scope): unknown {
  if (typeof value === 'string') return evaluateText(value, scope)
  if (Array.isArray(value)) return value.map((one) => evaluate(one, scope))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => [name, evaluate(one, scope)]),
  )
}

function evaluateText(text: string, scope: Scope): unknown {
  if (text.startsWith('@@')) return text.slice(1)
  if (/^@[^{]/.test(text)) return evaluateWhole(text.slice(1), scope)
  let made = ''
  for (let at = 0; at < text.length; ) {
    const start = text.indexOf('@{', at)
    if (start < 0) return made + text.slice(at)
    const reader = createReader(text, start + 2)
    const value = readExpression(reader, scope)
    reader.take('}')
    made += text.slice(at, start) + asText(value)
    at = reader.at()
  }
  return made
}

function evaluateWhole(text: string, scope: Scope): unknown {
  const reader = createReader(text, 0)
  const value = readExpression(reader, scope)
  if (reader.at() < text.length) throw new Error(`"${text}" goes on behind its end`)
  return value
}

const asText = (value: unknown): string =>
  typeof value === 'string' ? value : value == null ? '' : JSON.stringify(value)

type Reader = ReturnType<typeof createReader>

function createReader(text: string, start: number) {
  let at = start
  const skip = () => {
    while (text[at] === ' ') at += 1
  }
  return {
    at: () => at,
    /** Goes on behind a sign, if it is next. */
    isNext(sign: string) {
      skip()
      if (!text.startsWith(sign, at)) return false
      at += sign.length
      return true
    },
    take(sign: string) {
      if (!this.isNext(sign)) throw new Error(`"${sign}" is missing in "${text}" at ${at}`)
    },
    /** The next text that a pattern has, if it is next. */
    match(pattern: RegExp) {
      skip()
      const [found] = new RegExp(pattern, 'y').exec(text.slice(at)) ?? []
      at += found?.length ?? 0
      return found
    },
  }
}

function readExpression(reader: Reader, scope: Scope): unknown {
  let value = readTerm(reader, scope)
  for (;;) {
    const isSafe = reader.isNext('?[')
    if (!isSafe && !reader.isNext('[')) return value
    const key = readExpression(reader, scope)
    reader.take(']')
    if (value == null && !isSafe) throw new Error(`there is no ${key} of null`)
    value = (value as Values | null)?.[String(key)] ?? null
  }
}

function readTerm(reader: Reader, scope: Scope): unknown {
  const quoted = reader.match(/'(?:[^']|'')*'/)
  if (quoted !== undefined) return quoted.slice(1, -1).replaceAll("''", "'")
  const number = reader.match(/-?\d+(?:\.\d+)?/)
  if (number !== undefined) return Number(number)
  const name = reader.match(/[A-Za-z]\w*/) ?? ''
  if (name in words) return words[name]
  reader.take('(')
  const args: unknown[] = []
  while (!reader.isNext(')')) {
    args.push(readExpression(reader, scope))
    if (!reader.isNext(',')) {
      reader.take(')')
      break
    }
  }
  const found = scope[name] ?? functions[name]
  if (!found) throw new Error(`there is no function ${name}`)
  return (found as (...values: unknown[]) => unknown)(...args)
}

const words: Values = { true: true, false: false, null: null }

const functions: Record<string, (...args: never[]) => unknown> = {
  and: (...all: boolean[]) => all.every((one) => one === true),
  base64: (text: string) => Buffer.from(text).toString('base64'),
  base64ToString: (text: string) => Buffer.from(text, 'base64').toString(),
  coalesce: (...all: unknown[]) => all.find((one) => one != null) ?? null,
  concat: (...all: unknown[]) => all.map(asText).join(''),
  encodeUriComponent: (text: string) => encodeURIComponent(text),
  equals: (one: unknown, other: unknown) => JSON.stringify(one) === JSON.stringify(other),
  first: (list: unknown[]) => list[0] ?? null,
  greaterOrEquals: (one: number, other: number) => one >= other,
  if: (isSo: boolean, one: unknown, other: unknown) => (isSo ? one : other),
  json: (text: string) => JSON.parse(text),
  length: (list: unknown[] | string) => list.length,
  less: (one: number, other: number) => one < other,
  replace: (text: string, from: string, to: string) => text.replaceAll(from, to),
  split: (text: string, by: string) => text.split(by),
  string: (value: unknown) => asText(value),
  ticks: (time: string) => {
    const ms = Date.parse(time)
    if (Number.isNaN(ms)) throw new Error(`${time} is no time`)
    return ms
  },
  union: (one: unknown[], other: unknown[]) => [
    ...new Map([...one, ...other].map((entry) => [JSON.stringify(entry), entry])).values(),
  ],
}
