/** The text of a field; null for an empty text and for other types. A number is read as an id. */
export function textOf(value: unknown): string | null {
  if (typeof value === 'number' && Number.isFinite(value)) return String(value)
  return typeof value === 'string' && value.trim() !== '' ? value : null
}

/** The whole number of a field, also if it is sent as text; null for anything else. */
export function countOf(value: unknown): number | null {
  const number =
    typeof value === 'string' && /^\d{1,15}$/.test(value.trim()) ? Number(value) : value
  return typeof number === 'number' && Number.isSafeInteger(number) ? number : null
}

/** A time in epoch seconds as RFC 3339; null for 0, which means never. */
export function epochTimeOf(value: unknown): string | null {
  const seconds = countOf(value)
  // The last second that RFC 3339 can write.
  return seconds === null || seconds <= 0 || seconds > 253_402_300_799
    ? null
    : new Date(seconds * 1000).toISOString()
}

/** The fields of an object; no fields for any other value. */
export const fieldsOf = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {}

/** The objects of a list; null for any other value. */
export const rowsOf = (value: unknown): Record<string, unknown>[] | null =>
  Array.isArray(value) ? value.map(fieldsOf) : null
