import { eventGrid } from './event-grid.ts'
import { serviceBus } from './service-bus.ts'

export const sinks = { 'event-grid': eventGrid, 'service-bus': serviceBus }

export type SinkName = keyof typeof sinks

export const sinkNames = Object.keys(sinks) as SinkName[]
