import { z } from 'zod'
import type { HttpRoute } from '../../../shared/app/http.ts'
import { problemSchema as statusProblemSchema } from '../../../shared/app/problem-codes.ts'
import { changesReportSchema } from '../../../shared/changes/poll-state.ts'
import { itemSchema } from '../../../shared/changes/routes/items.ts'
import { cloudEventSchema } from '../../../shared/events/event.ts'
import { streamReportSchema } from '../../../shared/events/feed/read.ts'
import { filterSchema } from '../../../shared/events/filter.ts'
import { failureSchema } from '../../../shared/events/subscriptions/subscription.ts'
import {
  deliveryViewSchema,
  subscriptionReportSchema,
  subscriptionViewSchema,
} from '../../../shared/events/subscriptions/view.ts'
import { exportsReportSchema, runSchema, runSummarySchema } from '../../../shared/exports/view.ts'
import { problemSchema } from '../../../shared/platform/error-responses.ts'
import { upstreamReportSchema } from '../../../shared/platform/upstream-health.ts'
import { scanAnswerSchema } from '../../../shared/scan-history/routes/reply.ts'
import { scanSchema } from '../../../shared/scan-history/source.ts'
import type { Schema } from './document.ts'
import { eventShapes, itemShape } from './event-shapes.ts'

/** The shapes that have names in the descriptions; a schema may also bring its own with `.meta({ id: 'Name' })`. */
const shapes: Record<string, z.ZodType> = {
  Problem: problemSchema,
  StatusProblem: statusProblemSchema,
  UpstreamReport: upstreamReportSchema,
  ChangesReport: changesReportSchema,
  StreamReport: streamReportSchema,
  ExportsReport: exportsReportSchema,
  Item: itemSchema,
  KnownItem: itemShape,
  CloudEvent: cloudEventSchema,
  ...eventShapes,
  Filter: filterSchema,
  Subscription: subscriptionViewSchema,
  SubscriptionReport: subscriptionReportSchema,
  Delivery: deliveryViewSchema,
  Failure: failureSchema,
  ExportRunSummary: runSummarySchema,
  ExportRun: runSchema,
  Scan: scanSchema,
  ScanAnswer: scanAnswerSchema,
}

/** The reference of a shape. */
export const reference = (name: string) => `#/components/schemas/${name}`

/** The schemas of all routes in the dialect of OpenAPI 3.0. */
export interface DescribedSchemas {
  /** The named shapes. */
  named: Record<string, Schema>
  /** The description of one of the routes' own schemas. */
  of(schema: z.ZodType): Schema
}

/** Describes the requests and answers of routes; throws for a schema that can't be described. */
export function describeSchemas(routes: Pick<HttpRoute, 'route'>[]): DescribedSchemas {
  const taken = routes.flatMap(({ route: { params, query, body } }) => [
    params,
    query,
    ...(body ? [body] : []),
  ])
  const answered = routes.flatMap(({ route }) =>
    Object.values(route.answers).flatMap(({ body }) => body ?? []),
  )
  const requests = describe({}, taken, 'input')
  const answers = describe(shapes, answered, 'output')
  const { KnownItem: Item = {}, ...others } = answers.named
  return {
    named: { ...requests.named, ...others, Item, CloudEvent: anyEvent },
    of(schema) {
      const described = requests.bySchema.get(schema) ?? answers.bySchema.get(schema)
      if (!described) throw new Error('this schema stands in no route')
      return described
    },
  }
}

const typesOf = (shape: (typeof eventShapes)[string]) => shape.shape.type.options

/** Every kind of event, when the routes' schema has events. */
const anyEvent: Schema = {
  oneOf: Object.keys(eventShapes).map((name) => ({ $ref: reference(name) })),
  discriminator: {
    propertyName: 'type',
    mapping: Object.fromEntries(
      Object.entries(eventShapes).flatMap(([name, shape]) =>
        typesOf(shape).map((type) => [type, reference(name)]),
      ),
    ),
  },
}

const ALL = 'all'

function describe(names: Record<string, z.ZodType>, schemas: z.ZodType[], io: 'input' | 'output') {
  const registry = z.registry<{ id: string }>()
  for (const [id, schema] of Object.entries(names)) registry.add(schema, { id })
  const list = [...new Set(schemas)]
  // As members of one object they are written inline, and named shapes in them become references.
  registry.add(z.object({ ...list }), { id: ALL })
  const found = z.toJSONSchema(registry, {
    target: 'openapi-3.0',
    io,
    uri: reference,
    override: tidy(io),
  })
  const { [ALL]: all, __shared: own, ...named } = readSchemas(JSON.stringify(found.schemas))
  return {
    named: { ...named, ...own?.definitions },
    bySchema: new Map(list.map((schema, index) => [schema, all?.properties?.[index] ?? {}])),
  }
}

/** Joins the shapes with a `.meta({ id })` and those of the registry, which zod returns separately. */
function readSchemas(
  json: string,
): Record<string, Schema & { definitions?: Record<string, Schema> }> {
  return JSON.parse(json.replaceAll('__shared#/definitions/', ''), (_key, value) => {
    if (typeof value?.$id === 'string') delete value.$id
    return value
  })
}

const tidy =
  (io: 'input' | 'output') =>
  ({ jsonSchema: schema }: { jsonSchema: z.core.JSONSchema.BaseSchema }): void => {
    // Every whole number in JSON has these bounds.
    if (schema.minimum === Number.MIN_SAFE_INTEGER) delete schema.minimum
    if (schema.maximum === Number.MAX_SAFE_INTEGER) delete schema.maximum
    // The pattern of a time has hundreds of characters; its format says the same in one word.
    if (schema.format) delete schema.pattern
    // Readers of answers must accept new members.
    if (io === 'output' && schema.additionalProperties === false) delete schema.additionalProperties
    if (schema.nullable && schema.enum && !schema.enum.includes(null))
      schema.enum = [...schema.enum, null]
  }
