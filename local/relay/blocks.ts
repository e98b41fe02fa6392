import { isRecord, pick } from './pick.ts'

/** Where a column finds its cells: the path of a field, or what is made of the row. */
export type Columns = Record<string, string | ((row: unknown) => unknown)>

/** Rows below one another. Without a title it is the list that was asked for. */
export interface Table {
  title?: string
  rows: readonly unknown[]
  columns: Columns
}

/** Names with their values. */
export interface Facts {
  title?: string
  facts: readonly (readonly [name: string, value: unknown])[]
}

/** A part of what a person is shown. */
export type Block = Table | Facts

/** The cell of a row in a column. */
export const cellOf = (row: unknown, from: Columns[string]): unknown =>
  typeof from === 'string' ? pick(row, from) : from(row)

/** What an object says, objects in it by their paths; lists of objects are left to tables. */
export function factsOf(
  value: unknown,
  without: readonly string[] = [],
  path = '',
): [string, unknown][] {
  const entries = isRecord(value)
    ? Object.entries(value).filter(([name]) => !without.includes(name))
    : []
  return entries.flatMap(([name, one]): [string, unknown][] => {
    if (isRecord(one) && Object.keys(one).length > 0) return factsOf(one, [], `${path}${name}.`)
    return Array.isArray(one) && one.some(isRecord) ? [] : [[`${path}${name}`, one]]
  })
}
