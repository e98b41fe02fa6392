/** What may drive a terminal or hide from the eye: control and format characters, odd line ends, halves of characters. */
const DANGEROUS = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu

/** A text from outside on one line, each character that is no plain one written out as `\u001b` is. */
export const toPlain = (text: string): string => text.replace(DANGEROUS, writeOut)

/** The same for a text of several lines. */
export const toPlainLines = (text: string): string => text.split('\n').map(toPlain).join('\n')

/** JSON on one line that says the same: what stands raw in it stands in its texts, where it may be written out. */
export const toPlainJson = (json: string): string => toPlain(json.trim().replace(/[\n\r\t]+/g, ' '))

const writeOut = (character: string): string =>
  [...Array(character.length).keys()]
    .map((at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`)
    .join('')
