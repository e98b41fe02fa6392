import type { Faults } from '../faults.ts'
import { tickKey } from '../moment.ts'
import { documented, type Field, type Item, type ItemKind } from './item.ts'

/** The query options of a list. */
export interface ListQuery {
  passes: Passes
  /** Undefined when the caller did not set it. */
  top: number | undefined
  skip: number
  sort(rows: Item[]): Item[]
  isCounted: boolean
}

const known = ['$filter', '$top', '$skip', '$orderby', '$count']
const largestTop = 10_000

/** Reads the query options of a list; throws QueryRefused for options that the service does not accept. */
export function readListQuery(query: URLSearchParams, kind: ItemKind, faults: Faults): ListQuery {
  for (const name of query.keys()) {
    if (!known.includes(name))
      throw new QueryRefused(`The query parameter '${name}' is not supported.`)
    if (query.getAll(name).length > 1)
      throw new QueryRefused(`Query option '${name}' was specified more than once.`)
  }
  const honoured = faults.orderAndCount === 'honoured'
  const filter = query.get('$filter')
  const top = wholeNumber(query, '$top')
  if (top !== undefined && top > largestTop) {
    throw new QueryRefused(
      `The limit of '${largestTop}' for Top query has been exceeded. The value from the incoming request is '${top}'.`,
    )
  }
  const allowUndocumented = faults.undocumentedFilters === 'evaluated'
  const orderBy = honoured ? query.get('$orderby') : null
  return {
    passes: filter === null ? () => true : readFilter(filter, { ...kind, allowUndocumented }),
    top,
    skip: wholeNumber(query, '$skip') ?? 0,
    sort: orderBy === null ? newestFirst(kind) : readOrder(orderBy, kind),
    isCounted: honoured && query.get('$count') === 'true',
  }
}

function wholeNumber(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name)
  if (text === null) return undefined
  if (/^\d{1,9}$/.test(text)) return Number(text)
  throw new QueryRefused(`Invalid value '${text}' for ${name} query option found.`)
}

/** An item without a creation time counts as the newest. */
function newestFirst({ createdField, fields }: ItemKind): ListQuery['sort'] {
  const field = fields[createdField] ?? documented('time')
  return (rows) => {
    const keyed = rows.map((row) => ({ row, key: comparable(row[createdField], field) ?? '9' }))
    return keyed.sort((a, b) => compareValues(b.key, a.key)).map(({ row }) => row)
  }
}

function readOrder(text: string, kind: ItemKind): ListQuery['sort'] {
  const orders = text.split(',').map((part) => {
    const [, name = '', direction = 'asc'] = /^\s*(\w+)(?:\s+(asc|desc))?\s*$/.exec(part) ?? []
    const field = fieldOf(name, { ...kind, allowUndocumented: true })
    const sign = direction === 'desc' ? -1 : 1
    return (a: Item, b: Item) =>
      sign * compareValues(comparable(a[name], field), comparable(b[name], field))
  })
  const first = (a: Item, b: Item) =>
    orders.map((order) => order(a, b)).find((result) => result !== 0)
  return (rows) => rows.toSorted((a, b) => first(a, b) ?? 0)
}

function compareValues(a: string | number | null, b: string | number | null): number {
  if (a === b) return 0
  if (a === null) return -1
  return b === null || a > b ? 1 : -1
}

/** Whether an item passes a filter. */
export type Passes = (item: Item) => boolean

type Token = Literal & { at: number }
type Comparison = (order: number) => boolean

const forms: [Token['kind'], RegExp][] = [
  ['text', /'(?:[^']|'')*'/y],
  ['time', /\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)/y],
  ['guid', /[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}/iy],
  ['number', /-?\d+(?:\.\d+)?/y],
  ['word', /[A-Za-z_]\w*/y],
  ['mark', /[(),]/y],
]

const comparisons = new Map<string, Comparison>([
  ['eq', (order) => order === 0],
  ['ne', (order) => order !== 0],
  ['gt', (order) => order > 0],
  ['ge', (order) => order >= 0],
  ['lt', (order) => order < 0],
  ['le', (order) => order <= 0],
])

/** Reads the part of OData's `$filter` that clients use with Defender's lists; throws QueryRefused for everything else. */
export function readFilter(text: string, scope: FilterScope): Passes {
  const tokens = tokensOf(text)
  let next = 0
  const is = (value: string, kind: Token['kind'] = 'word') =>
    tokens[next]?.kind === kind && tokens[next]?.value === value
  const skip = (value: string, kind?: Token['kind']) => is(value, kind) && next++ >= 0
  const take = () => tokens[next++] ?? unexpected(undefined, text)
  const expect = (value: string) => {
    if (!skip(value, 'mark')) unexpected(tokens[next], text)
  }

  function chain(word: 'or' | 'and', part: () => Passes): Passes {
    const deps = [part()]
    while (skip(word)) deps.push(part())
    if (deps.length === 1) return deps[0] as Passes
    return word === 'or'
      ? (item) => deps.some((passes) => passes(item))
      : (item) => deps.every((passes) => passes(item))
  }
  const either = (): Passes => chain('or', () => chain('and', term))
  function term(): Passes {
    if (skip('(', 'mark')) {
      const inner = either()
      expect(')')
      return inner
    }
    const name = take()
    if (name.kind !== 'word') unexpected(name, text)
    const field = fieldOf(name.value, scope)
    const operator = take()
    if (operator.kind === 'word' && operator.value === 'in') {
      expect('(')
      const values = [literal(take(), field, 'in')]
      while (skip(',', 'mark')) values.push(literal(take(), field, 'in'))
      expect(')')
      return (item) => values.includes(comparable(item[name.value], field))
    }
    const holds = operator.kind === 'word' ? comparisons.get(operator.value) : undefined
    if (!holds) unexpected(operator, text)
    const wanted = literal(take(), field, operator.value)
    return (item) => compare(comparable(item[name.value], field), wanted, operator.value, holds)
  }

  const passes = either()
  if (next < tokens.length) unexpected(tokens[next], text)
  return passes
}

function tokensOf(text: string): Token[] {
  const tokens: Token[] = []
  for (let at = 0; at < text.length; ) {
    if (text[at] === ' ') {
      at++
      continue
    }
    const found = forms.flatMap(([kind, form]) => {
      form.lastIndex = at
      const value = form.exec(text)?.[0]
      return value === undefined ? [] : [{ kind, value, at }]
    })[0]
    if (!found) return unexpected({ kind: 'mark', value: text[at] ?? '', at }, text)
    tokens.push(found)
    at += found.value.length
  }
  return tokens
}

/** Null equals null and is neither before nor after anything. */
function compare(value: Value, wanted: Value, operator: string, holds: Comparison): boolean {
  if (value !== null && wanted !== null) return holds(value < wanted ? -1 : value > wanted ? 1 : 0)
  return operator === (value === wanted ? 'eq' : 'ne')
}

function unexpected(token: Token | undefined, text: string): never {
  const where = token ? `at position ${token.at} in '${text}'` : `at the end of '${text}'`
  throw new QueryRefused(`Syntax error ${where}.`)
}

/** A query option that the service does not accept; the message is its answer. */
export class QueryRefused extends Error {
  override name = 'QueryRefused'
}

/** Options of the filter parser. */
export interface FilterScope {
  fields: Readonly<Record<string, Field>>
  entityType: string
  /** Also accept fields that are not documented as filterable. */
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

/** A literal as it is compared with a field; throws QueryRefused when the types differ. */
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
