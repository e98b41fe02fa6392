import type { PollContext } from '../../shared/changes/poll-state.ts'
import type { ItemSource, Resource, Wanted } from '../../shared/changes/resource.ts'
import { machineActions } from '../../shared/changes/resources/machine-actions.ts'
import { createFeed } from '../../shared/events/feed/feed.ts'
import type { Table } from '../../shared/platform/table.ts'
import type { Clock } from '../../shared/platform/time.ts'

/** A row as the service sends it. */
export type Row = Record<string, unknown> & { id: string }

/** A machine action, created and last updated at the given times. */
export const action = (
  id: string,
  status: string,
  created: Date | string,
  updated = created,
): Row => ({
  id,
  type: 'RunAntiVirusScan',
  status,
  machineId: 'm1',
  requestor: 'somebody@example.com',
  creationDateTimeUtc: typeof created === 'string' ? created : created.toISOString(),
  lastUpdateDateTimeUtc: typeof updated === 'string' ? updated : updated.toISOString(),
})

/** An investigation that started at the given time. */
export const investigation = (
  id: string,
  state: string,
  started: Date | null,
  ended: Date | null = null,
): Row => ({
  id,
  state,
  machineId: 'm1',
  computerDnsName: 'pc1',
  triggeringAlertId: `alert-${id}`,
  startTime: started?.toISOString() ?? null,
  endTime: ended?.toISOString() ?? null,
  statusDetails: null,
  cancelledBy: null,
})

/** A source that answers the rows in its store. */
export function createItemStore(resource: Resource, clock: Clock) {
  const rows = new Map<string, Row>()
  const store = {
    rows,
    /** The requests so far, as text. */
    requests: [] as string[],
    /** The date of an answer; undefined if it has no such header. */
    date: (): Date | undefined => clock.now(),
    /** Throws for a request that has to fail. */
    fail: (_request: string): void => {},
    put: (...items: Row[]) => {
      for (const row of items) rows.set(row.id, row)
    },
    source: { list, get } as ItemSource,
  }

  async function* list(wanted: Wanted) {
    const request = 'openNow' in wanted ? 'open' : `created since ${wanted.createdSince}`
    store.requests.push(request)
    await undefined
    store.fail(request)
    yield { rows: [...rows.values()].filter((row) => isWanted(row, wanted)), date: store.date() }
  }

  function isWanted(row: Row, wanted: Wanted): boolean {
    const created = row.creationDateTimeUtc ?? row.startTime
    if ('openNow' in wanted) return resource.openStates.includes(String(row.status ?? row.state))
    return typeof created === 'string' && Date.parse(created) >= Date.parse(wanted.createdSince)
  }

  async function get(id: string) {
    store.requests.push(id)
    await undefined
    store.fail(id)
    return rows.get(id)
  }

  return store
}

/** The context of polls: a feed over a table, and the given source and clock. */
export function createContext(
  deps: { table: Table; clock: Clock; source: ItemSource; resource?: Resource },
  more: Partial<PollContext> = {},
): PollContext {
  const { table, clock, source, resource = machineActions } = deps
  return {
    resource,
    source,
    clock,
    feed: createFeed(table),
    memory: {},
    overdueHours: 73,
    emitBaseline: false,
    log: { info() {}, warn() {}, error() {} },
    trace: {},
    tenantId: async () => 'tenant',
    nextDue: () => null,
    track: (call) => call(),
    ...more,
  }
}
