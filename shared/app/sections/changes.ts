import type { Memory, Watch } from '../../changes/poll-state.ts'
import type { Resource } from '../../changes/resource.ts'
import { type ResourceName, resources } from '../../changes/resources/index.ts'
import type { Priority } from '../../platform/budget.ts'
import { readSection } from '../../platform/config.ts'
import type { Log } from '../../platform/log.ts'
import { createGate } from '../preflight-gate.ts'
import { changesSettings } from '../settings.ts'
import type { Given } from './base.ts'
import type { DefenderSection } from './defender.ts'
import type { EventsSection } from './events.ts'

/** The watch over machine actions and investigations, ready to use. */
export interface ChangesSection {
  /** What one resource is watched with for whoever asks, telling its story to one invocation's log. */
  watch(name: ResourceName, log: Log): Watch
  /** The same for a timer: `background` calls, and an upstream that has refused it is left alone for a while. */
  patientWatch(name: ResourceName, log: Log): Watch
  schedules: Record<ResourceName, string>
  eventRetentionDays: number
}

/** Puts the watch together from its settings. */
export function createChangesSection(
  { env, clock }: Given,
  { feed }: EventsSection,
  upstream: DefenderSection,
): ChangesSection {
  const settings = readSection('changes', env, changesSettings)
  const { defender, watches, token, tenantId } = upstream
  const memories: Record<ResourceName, Memory> = { 'machine-actions': {}, investigations: {} }
  const sourceOf = ({ list, filter }: Resource, priority: Priority): Watch['source'] => ({
    list: (wanted) => defender.items(list, filter(wanted), priority),
    get: (id) => defender.item(list, id, priority),
  })
  const gateOf = (name: ResourceName) =>
    createGate({ watch: watches[name], renew: () => token({ fresh: true }), clock })
  const gates = {
    'machine-actions': gateOf('machine-actions'),
    investigations: gateOf('investigations'),
  }
  const watch = (name: ResourceName, log: Log): Watch => ({
    resource: resources[name],
    source: sourceOf(resources[name], 'interactive'),
    feed,
    clock,
    log,
    tenantId,
    memory: memories[name],
    overdueHours: settings.OVERDUE_HOURS,
    tellBaseline: settings.CHANGES_TELL_BASELINE,
    over: watches[name].over,
  })
  return {
    watch,
    patientWatch: (name, log) => ({
      ...watch(name, log),
      source: sourceOf(resources[name], 'background'),
      over: gates[name],
    }),
    schedules: {
      'machine-actions': settings.MACHINE_ACTIONS_SCHEDULE,
      investigations: settings.INVESTIGATIONS_SCHEDULE,
    },
    eventRetentionDays: settings.EVENT_RETENTION_DAYS,
  }
}
