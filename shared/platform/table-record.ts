/** Longest piece that a text column takes, with slack below the service's 32,768 UTF-16 units. */
export const LONGEST_PIECE = 32_000

/** Splits a text into pieces of at most `LONGEST_PIECE` UTF-16 units, never inside a surrogate pair. */
export function splitText(text: string, longest = LONGEST_PIECE): string[] {
  const pieces: string[] = []
  for (let start = 0; start < text.length; ) {
    let end = Math.min(start + longest, text.length)
    const last = text.charCodeAt(end - 1)
    if (end < text.length && last >= 0xd800 && last <= 0xdbff) end -= 1
    pieces.push(text.slice(start, end))
    start = end
  }
  return pieces
}

/** The columns `name`, `name2`, `name3` … that hold a long text together; none for an empty one. */
export function toTextColumns(name: string, text: string): Record<string, string> {
  return Object.fromEntries(
    splitText(text).map((piece, index) => [index === 0 ? name : `${name}${index + 1}`, piece]),
  )
}

/** Puts together what `toTextColumns` took apart. */
export function fromTextColumns(name: string, columns: Record<string, unknown>): string {
  let text = ''
  for (let index = 1; ; index++) {
    const piece = columns[index === 1 ? name : `${name}${index}`]
    if (typeof piece !== 'string') return text
    text += piece
  }
}
