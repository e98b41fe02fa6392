const TOKEN = /\s*([{}[\]:,]|"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*|true|false|null)/y
const MOST_DEPTH = 100

class NotEvenThat extends Error {}

/**
 * Reads JSON that is not quite: commas may trail, and several objects after one name (`"a": {…}, {…}`) are a list. Undefined
 * for what is not even that, such as a text that was cut short.
 */
export function readLeniently(text: string): unknown {
  const tokens = tokensOf(text)
  let place = 0

  function value(depth: number): unknown {
    const token = tokens?.[place++]
    if (token === undefined || depth > MOST_DEPTH) throw new NotEvenThat()
    if (token === '{') return record(depth)
    if (token === '[') return list(depth)
    return scalar(token)
  }

  function record(depth: number): unknown {
    const members: [string, unknown][] = []
    while (!ends('}')) {
      const name = scalar(tokens?.[place++] ?? '')
      if (typeof name !== 'string' || tokens?.[place++] !== ':') throw new NotEvenThat()
      const first = value(depth + 1)
      const more: unknown[] = []
      while (tokens?.[place] === ',' && tokens[place + 1] === '{') {
        place++
        more.push(value(depth + 1))
      }
      members.push([name, more.length > 0 ? [first, ...more] : first])
      separate('}')
    }
    return Object.fromEntries(members)
  }

  function list(depth: number): unknown[] {
    const values: unknown[] = []
    while (!ends(']')) {
      values.push(value(depth + 1))
      separate(']')
    }
    return values
  }

  function ends(bracket: string): boolean {
    if (tokens?.[place] !== bracket) return false
    place++
    return true
  }

  /** Between two values stands a comma; before the end one may stand. */
  function separate(bracket: string): void {
    if (tokens?.[place] === ',') place++
    else if (tokens?.[place] !== bracket) throw new NotEvenThat()
  }

  try {
    const read = value(0)
    return tokens && place === tokens.length ? read : undefined
  } catch (error) {
    if (error instanceof NotEvenThat) return undefined
    throw error
  }
}

function tokensOf(text: string): string[] | undefined {
  const tokens: string[] = []
  const end = text.trimEnd().length
  TOKEN.lastIndex = 0
  while (TOKEN.lastIndex < end) {
    const token = TOKEN.exec(text)?.[1]
    if (token === undefined) return undefined
    tokens.push(token)
  }
  return tokens
}

function scalar(token: string): unknown {
  try {
    return JSON.parse(token)
  } catch {
    throw new NotEvenThat()
  }
}
