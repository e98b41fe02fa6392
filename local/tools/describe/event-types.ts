import { z } from 'zod'
import { eventTypes, streams } from '../../../shared/app/sections/events.ts'
import { hasType } from '../../../shared/events/filter.ts'
import { makeSamples } from './event-samples.ts'
import { eventShapes } from './event-shapes.ts'

/** Every type of event with its stream, the JSON Schema of its data, and a sample: what `GET /api/event-types` answers. */
export async function describeEventTypes() {
  const samples = new Map((await makeSamples()).map((event) => [event.type, event]))
  return eventTypes.map((type) => {
    const shape = Object.values(eventShapes).find((one) => one.shape.type.options.includes(type))
    const stream = streams.find((one) => hasType(one, type))
    const sample = samples.get(type)
    if (!shape || !stream || !sample) throw new Error(`${type} has no shape, stream or sample`)
    const { $schema: _, ...schema } = z.toJSONSchema(shape.shape.data)
    return { type, stream, schema, sample: shape.parse(sample) }
  })
}
