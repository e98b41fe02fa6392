import { z } from 'zod'
import { invalidRequest, plainText } from '../platform/request.ts'
import type { CloudEvent } from './event.ts'

/**
 * The filter of a subscription: named lists, each matched by any of its texts, and `terminalOnly`. All must match. A text
 * that ends with `*` matches what begins like it.
 */
export const filterSchema = z.record(z.string(), z.union([z.array(z.string()), z.boolean()]))

export type Filter = z.infer<typeof filterSchema>

/** What the app defines for the filters of its events. */
export interface StreamConfig {
  streams: readonly string[]
  /** The streams of a filter that names none. */
  defaultStreams: readonly string[]
  /** By name of a list: the members of an event's `data` of which one must be in the list. */
  filterFields: Readonly<Record<string, readonly string[]>>
}

const wanted = plainText(256)
  .min(1)
  .regex(/^[^*]*\*?$/, 'may have a * only at its end')
const list = z.array(wanted).min(1).max(100)

/** The names that filters may use. */
export interface EventCatalog extends Pick<StreamConfig, 'streams' | 'filterFields'> {
  types: readonly string[]
}

/** The stream of events about subscriptions; only filters that name it get them. */
export const OPERATIONS = 'operations'

/** Whether a stream has events of a type: types have its name, in the singular. */
export const hasType = (stream: string, type: string) =>
  type.startsWith(
    `defender-relay.${stream === OPERATIONS ? 'subscription' : stream.replace(/s$/, '')}.`,
  )

/** What an event is about: events of one kind have one shape. For instance `machine-action`. */
export const kindOf = (type: string) => type.split('.').slice(1, -1).join('.')

/** The kinds of some types, each once. */
export const kindsOf = (types: readonly string[]) => [...new Set(types.map(kindOf))]

/** The beginning of the types of a kind. */
export const prefixOf = (kind: string) => `defender-relay.${kind}.`

/** A filter that passes one kind of event only; throws a `RequestError` where its streams or types have others. */
export function ofKind(filter: Filter, kind: string, all: readonly string[]): Filter {
  const { streams = [], types = all.filter((type) => kindOf(type) === kind) } = filter
  const fits = (names: unknown, is: (name: string) => boolean) => (names as string[]).every(is)
  const isRight =
    fits(streams, (one) => hasType(one, prefixOf(kind))) &&
    fits(types, (one) => kindOf(one) === kind)
  if (isRight) return { ...filter, types }
  throw invalidRequest([{ path: 'body.kind', message: 'does not fit the streams or types' }])
}

/** The mistake of a type or kind that none of these streams has. */
export const notOf = (streams: readonly string[], type = '') =>
  `cannot be ${type}: its events are not in ${streams.join(', ')}`

/** The schema of a filter: names outside the catalog are refused. Values are free text, since Defender may add some. */
export function filterSchemaFor({ streams: all, types, filterFields }: EventCatalog) {
  const fields = Object.keys(filterFields).map((name) => [name, list.optional()] as const)
  const filter = z.strictObject({
    streams: z.array(z.enum(all)).min(1).optional(),
    types: z.array(z.enum(types)).min(1).optional().describe('Event types.'),
    ...(Object.fromEntries(fields) as Record<string, z.ZodOptional<typeof list>>),
    terminalOnly: z.boolean().optional().describe('Only events of a final state.'),
  })
  return filter.superRefine(({ streams = all, types: wanted = [] }, context) => {
    for (const [index, type] of wanted.entries())
      if (!streams.some((stream) => hasType(stream, type)))
        context.addIssue({ code: 'custom', path: ['types', index], message: notOf(streams, type) })
  })
}

export function wantsStream(
  { streams, types }: Filter,
  stream: string,
  { defaultStreams }: Pick<StreamConfig, 'defaultStreams'>,
) {
  if (Array.isArray(streams)) return streams.includes(stream)
  if (Array.isArray(types)) return types.some((type) => hasType(stream, type))
  return defaultStreams.includes(stream)
}

/** Makes the check of a filter. Upper and lower case are equal. */
export function compileFilter(filter: Filter, { filterFields }: StreamConfig) {
  const lists = Object.entries({ types: [], ...filterFields }).flatMap(([name, members]) => {
    const wanted = filter[name]
    if (!Array.isArray(wanted)) return []
    const texts = wanted.map((text) => text.toLowerCase())
    const starts = texts.flatMap((text) => (text.endsWith('*') ? text.slice(0, -1) : []))
    return [{ name, members, exact: new Set(texts), starts }]
  })
  return ({ type, data }: CloudEvent) =>
    (filter.terminalOnly !== true || data.terminal === true) &&
    lists.every(({ name, members, exact, starts }) => {
      const values = name === 'types' ? [type] : members.map((member) => data[member])
      return values.some((value) => {
        if (typeof value !== 'string') return false
        const text = value.toLowerCase()
        return exact.has(text) || starts.some((start) => text.startsWith(start))
      })
    })
}
