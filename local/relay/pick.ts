/** Whether a value of JSON is an object. */
export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The value at a path such as `counts.written`; undefined where there is none. */
export function pick(value: unknown, path: string): unknown {
  let at = value
  for (const name of path.split('.'))
    at = isRecord(at) && Object.hasOwn(at, name) ? at[name] : undefined
  return at
}

/** The list at a path; an empty one where there is none. */
export function pickList(value: unknown, path: string): unknown[] {
  const list = pick(value, path)
  return Array.isArray(list) ? list : []
}

/** The text at a path; an empty one where there is none. */
export function pickText(value: unknown, path: string): string {
  const text = pick(value, path)
  return typeof text === 'string' ? text : ''
}

/** The members of the object at a path as rows, their names in `name`. */
export function pickEntries(value: unknown, path: string): Record<string, unknown>[] {
  const found = pick(value, path)
  if (!isRecord(found)) return []
  return Object.entries(found).map(([name, one]) => ({ name, ...(isRecord(one) ? one : {}) }))
}
