import { z } from 'zod'
import { plainText } from './request.ts'

/** A filter by a text. All filters stay text: the link to the next page repeats them. */
export const textFilter = plainText(300).min(1).optional()

/** A filter by known words: one, or several with commas. */
export const wordsFilter = (words: readonly string[]) =>
  z
    .string()
    .max(600)
    .refine(
      (sent) => sent.split(',').every((word) => words.includes(word)),
      `must be of ${words.join(', ')}, separated by commas`,
    )
    .optional()

/** A filter by name, or by a beginning of at least so many characters. */
export const nameFilter = (shortest: number) =>
  plainText(300)
    .regex(
      new RegExp(`^[^*]+$|^[^*]{${shortest},}\\*$`, 'u'),
      `takes * only at its end, with ${shortest} or more characters before it`,
    )
    .optional()

/** Whether a value is the text of a filter, in any case. */
export const isText = (value: unknown, wanted: string): boolean =>
  String(value ?? '').toLowerCase() === wanted.toLowerCase()

/** Whether a name passes a filter by name. */
export const isNamed = (name: unknown, wanted: string): boolean =>
  wanted.endsWith('*')
    ? String(name ?? '')
        .toLowerCase()
        .startsWith(wanted.slice(0, -1).toLowerCase())
    : isText(name, wanted)
