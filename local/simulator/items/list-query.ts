import { comparable, fieldOf, QueryRefused } from './field-value.ts'
import type { ItemFaults } from './item-faults.ts'
import { documented, type Item, type ItemKind } from './item-kind.ts'
import { type Passes, readFilter } from './odata-filter.ts'

/** What a list was asked for. */
export interface ListQuery {
  passes: Passes
  /** Undefined when the caller left it to the service. */
  top: number | undefined
  skip: number
  sort(rows: Item[]): Item[]
  isCounted: boolean
}

const known = ['$filter', '$top', '$skip', '$orderby', '$count']
const largestTop = 10_000

/** Reads the query options of a list; throws QueryRefused for those that the service does not take. */
export function readListQuery(
  query: URLSearchParams,
  kind: ItemKind,
  faults: ItemFaults,
): ListQuery {
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

/** What has no creation time yet is the newest. */
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
