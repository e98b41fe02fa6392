import { tickKey } from '../moment.ts'
import type { Field } from './item-kind.ts'

/** A query option that the service does not take; the message is its answer. */
export class QueryRefused extends Error {
  override name = 'QueryRefused'
}

/** What a filter is read with. */
export interface FilterScope {
  fields: Readonly<Record<string, Field>>
  entityType: string
  /** Fields that no page documents as filterable may be named too. */
  allowUndocumented: boolean
}

/** A word of a filter, by its form. */
export interface Literal {
  kind: 'text' | 'time' | 'guid' | 'number' | 'word' | 'mark'
  value: string
}

/** A value as it is compared: times as sortable text. */
export type Value = string | number | null

/** A field that may be named in a query option. */
export function fieldOf(
  name: string,
  { fields, entityType, allowUndocumented }: FilterScope,
): Field {
  const field = Object.hasOwn(fields, name) ? fields[name] : undefined
  if (!field)
    throw new QueryRefused(`Could not find a property named '${name}' on type '${entityType}'.`)
  if (field.documented || allowUndocumented) return field
  throw new QueryRefused(`The property '${name}' cannot be used in the $filter query option.`)
}

/** A literal as it is compared with a field; throws QueryRefused where the two do not go together. */
export function literal({ kind, value }: Literal, { type }: Field, operator: string): Value {
  if (kind === 'word' && value === 'null') return null
  const text = kind === 'text' ? value.slice(1, -1).replaceAll("''", "'") : value
  if (type === 'number' && kind === 'number') return Number(value)
  if (type === 'time' && kind === 'time') return tickKey(value) ?? mismatch(value, operator)
  if (type === 'text' && (kind === 'text' || kind === 'guid')) return text
  if (Array.isArray(type) && kind === 'text' && ['eq', 'ne', 'in'].includes(operator)) {
    if (type.includes(text)) return text
    throw new QueryRefused(`The string '${text}' is not a valid enumeration type constant.`)
  }
  return mismatch(value, operator)
}

function mismatch(value: string, operator: string): never {
  throw new QueryRefused(
    `A binary operator with incompatible types was detected: '${operator}' with ${value}.`,
  )
}

/** A field's value as it is compared. */
export function comparable(value: unknown, { type }: Field): Value {
  if (value === null || value === undefined) return null
  if (type === 'number') return Number(value)
  return type === 'time' ? (tickKey(value) ?? null) : String(value)
}
