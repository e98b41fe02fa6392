import { StringDecoder } from 'node:string_decoder'

/** A line with its number, from 1; `text` is cut when the line is longer than allowed. */
export interface Line {
  number: number
  text: string
  tooLong: boolean
}

/** Longest line that is read, in UTF-16 units: a row of it still fits an entity. */
export const LONGEST_LINE = 256 * 1024

/**
 * Splits bytes into lines, a block at a time, in constant memory: of a line that is too long only the beginning is kept.
 * Takes LF and CRLF, a byte order mark, and a last line without an end; blank lines are numbered and left out.
 */
export async function* readLines(
  body: AsyncIterable<Buffer>,
  longest = LONGEST_LINE,
): AsyncGenerator<Line[]> {
  const decoder = new StringDecoder('utf8')
  let rest = ''
  let length = 0
  let number = 0

  function take(text: string): Line | undefined {
    const tooLong = length + text.length > longest
    const whole = (rest + text).slice(0, longest)
    rest = ''
    length = 0
    number += 1
    const clean = (number === 1 ? whole.replace(/^\uFEFF/, '') : whole).trim()
    // Of a line that is too long nobody knows whether it is blank.
    return clean === '' && !tooLong ? undefined : { number, text: clean, tooLong }
  }

  for await (const block of body) {
    const pieces = decoder.write(block).split('\n')
    const last = pieces.pop() ?? ''
    const lines = pieces.map(take).filter((line) => line !== undefined)
    if (length < longest) rest += last.slice(0, longest - length)
    length += last.length
    if (lines.length > 0) yield lines
  }
  const line = take(decoder.end())
  if (line) yield [line]
}
