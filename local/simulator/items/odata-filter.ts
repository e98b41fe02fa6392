import {
  comparable,
  type FilterScope,
  fieldOf,
  type Literal,
  literal,
  QueryRefused,
  type Value,
} from './field-value.ts'
import type { Item } from './item-kind.ts'

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

/** Reads the part of OData's `$filter` that Defender's lists are asked with; throws QueryRefused for all else. */
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
    const parts = [part()]
    while (skip(word)) parts.push(part())
    if (parts.length === 1) return parts[0] as Passes
    return word === 'or'
      ? (item) => parts.some((passes) => passes(item))
      : (item) => parts.every((passes) => passes(item))
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
