import type { Resource } from '../resource.ts'
import { investigations } from './investigations.ts'
import { machineActions } from './machine-actions.ts'

/** Every watched kind. What the app needs of them elsewhere is derived from this list. */
export const resources: Resource[] = [machineActions, investigations]

/** The record of a watched kind; throws for a name that is not in the list. */
export function resourceFor(name: string): Resource {
  const found = resources.find((resource) => resource.name === name)
  if (!found) throw new Error(`${name} is no watched kind`)
  return found
}
