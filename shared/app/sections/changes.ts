import type { Memory, PollContext } from '../../changes/poll-state.ts'
import { resourceFor } from '../../changes/resources/index.ts'
import type { Priority } from '../../platform/budget-window.ts'
import { readSection } from '../../platform/config.ts'
import type { Traced } from '../../platform/log.ts'
import { nextRun } from '../../platform/schedule.ts'
import { changesSettings, scheduleSettings } from '../settings.ts'
import type { Options } from './base.ts'
import type { DefenderSection } from './defender.ts'
import type { EventsSection } from './events.ts'

export function createChangesSection(
  { env, clock }: Options,
  { feed }: EventsSection,
  { defender, healthFor, tenantId }: DefenderSection,
) {
  const settings = readSection('changes', env, { ...scheduleSettings, ...changesSettings })
  const schedules = readSection('changes', env, scheduleSettings)
  const memories: Record<string, Memory> = {}
  const scheduleFor = (name: string) => schedules[resourceFor(name).schedule.setting] ?? ''
  return {
    /** What one invocation polls a kind with; a timer makes its calls with the priority `background`. */
    context(name: string, { log, trace }: Traced, priority: Priority = 'interactive'): PollContext {
      const resource = resourceFor(name)
      memories[name] ??= {}
      return {
        resource,
        source: {
          list: (wanted) => defender.items(resource, resource.filter(wanted), priority),
          get: (id) => defender.item(resource, id, priority),
        },
        feed,
        clock,
        log,
        trace,
        tenantId,
        nextDue: (after) => nextRun(scheduleFor(name), after),
        memory: memories[name],
        overdueHours: settings.OVERDUE_HOURS,
        emitBaseline: settings.CHANGES_TELL_BASELINE,
        track: healthFor(resource).track,
      }
    },
    scheduleFor,
  }
}
