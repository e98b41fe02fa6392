import type { Memory, PollContext } from '../../changes/poll-state.ts'
import type { Resource } from '../../changes/resource.ts'
import { type ResourceName, resources } from '../../changes/resources/index.ts'
import type { Priority } from '../../platform/budget-window.ts'
import { readSection } from '../../platform/config.ts'
import type { Traced } from '../../platform/log.ts'
import { changesSettings } from '../settings.ts'
import type { Options } from './base.ts'
import type { DefenderSection } from './defender.ts'
import type { EventsSection } from './events.ts'

/** The watch over machine actions and investigations, ready to use. */
export interface ChangesSection {
  /** What one resource is watched with for one invocation; a timer makes its calls in the priority `background`. */
  context(name: ResourceName, traced: Traced, priority?: Priority): PollContext
  schedules: Record<ResourceName, string>
}

/** Puts the watch together from its settings. */
export function createChangesSection(
  { env, clock }: Options,
  { feed }: EventsSection,
  upstream: DefenderSection,
): ChangesSection {
  const settings = readSection('changes', env, changesSettings)
  const { defender, familyHealth, tenantId } = upstream
  const memories: Record<ResourceName, Memory> = { 'machine-actions': {}, investigations: {} }
  const sourceOf = ({ list, filter }: Resource, priority: Priority): PollContext['source'] => ({
    list: (wanted) => defender.items(list, filter(wanted), priority),
    get: (id) => defender.item(list, id, priority),
  })
  return {
    context: (name, { log, trace }, priority = 'interactive') => ({
      resource: resources[name],
      source: sourceOf(resources[name], priority),
      feed,
      clock,
      log,
      trace,
      tenantId,
      memory: memories[name],
      overdueHours: settings.OVERDUE_HOURS,
      emitBaseline: settings.CHANGES_TELL_BASELINE,
      track: familyHealth[name].track,
    }),
    schedules: {
      'machine-actions': settings.MACHINE_ACTIONS_SCHEDULE,
      investigations: settings.INVESTIGATIONS_SCHEDULE,
    },
  }
}
