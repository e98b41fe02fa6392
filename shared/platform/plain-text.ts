import { z } from 'zod'

const CONTROL = /[^\P{Cc}\n\r\t]/u

/**
 * A text for people that any reader of JSON can take: of at most so many UTF-16 units, without half a character and without
 * control characters other than line breaks and tabs.
 */
export const plainText = (most: number) =>
  z
    .string()
    .max(most)
    .refine(
      (text) => text.isWellFormed() && !CONTROL.test(text),
      'must not hold control characters or halves of characters',
    )
