import type { Resource } from '../resource.ts'
import { investigations } from './investigations.ts'
import { machineActions } from './machine-actions.ts'

/** The names of the watched resources: streams, routes and settings hold on to them. */
export const resourceNames = ['machine-actions', 'investigations'] as const
export type ResourceName = (typeof resourceNames)[number]

/** Every watched resource. */
export const resources: Record<ResourceName, Resource> = {
  'machine-actions': machineActions,
  investigations,
}
