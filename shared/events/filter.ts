import { z } from 'zod'
import { plainText } from '../platform/request.ts'
import type { CloudEvent } from './event.ts'

/** What a subscription wants: by name a list of texts of which any will do, and `terminalOnly`. All of them have to hold. */
export const filterSchema = z.record(z.string(), z.union([z.array(z.string()), z.boolean()]))

export type Filter = z.infer<typeof filterSchema>

/** The words in which filters are written; the app brings them, the engine knows none. */
export interface StreamConfig {
  /** Every stream there is. */
  streams: readonly string[]
  /** The streams of a subscription that names none. */
  defaultStreams: readonly string[]
  /** Lists by name: the members of an event's `data` of which one has to be in the list. */
  filterFields: Readonly<Record<string, readonly string[]>>
}

const list = z.array(plainText(256).min(1)).min(1).max(1000)

/** What filters may name: the streams, the types of events, and the lists. */
export interface EventCatalog extends Pick<StreamConfig, 'streams' | 'filterFields'> {
  types: readonly string[]
}

/** The schema of a filter in these words; what they don't name is refused. Values of lists are open: Defender's may grow. */
export function filterSchemaFor({ streams, types, filterFields }: EventCatalog) {
  const fields = Object.keys(filterFields).map((name) => [name, list.optional()] as const)
  return z.strictObject({
    streams: z.array(z.enum(streams)).min(1).optional(),
    types: z.array(z.enum(types)).min(1).optional().describe('Event types.'),
    ...(Object.fromEntries(fields) as Record<string, z.ZodOptional<typeof list>>),
    terminalOnly: z.boolean().optional().describe('Only steps into a state that nothing follows.'),
  })
}

/** Whether a filter asks for a stream at all. */
export function wantsStream(
  { streams }: Filter,
  stream: string,
  { defaultStreams }: StreamConfig,
): boolean {
  return (Array.isArray(streams) ? streams : defaultStreams).includes(stream)
}

/** Whether an event of a wanted stream passes: within a list any, across lists all, whatever the case of letters. */
export function matchesFilter(
  filter: Filter,
  { type, data }: CloudEvent,
  { filterFields }: StreamConfig,
): boolean {
  if (filter.terminalOnly === true && data.terminal !== true) return false
  return (
    isAnyOf(filter.types, [type]) &&
    Object.entries(filterFields).every(([name, members]) =>
      isAnyOf(
        filter[name],
        members.map((member) => data[member]),
      ),
    )
  )
}

function isAnyOf(wanted: Filter[string] | undefined, values: unknown[]): boolean {
  if (!Array.isArray(wanted)) return true
  const present = values
    .filter((value) => typeof value === 'string')
    .map((value) => value.toLowerCase())
  return wanted.some((text) => present.includes(text.toLowerCase()))
}
