import type { HostCall, HostReply } from '../http.ts'
import type { Engine } from './engine.ts'
import type { HistoryEvent } from './history.ts'
import type { ListedInstance, StoredInstance } from './store.ts'

/** Which instances a caller means. */
export interface InstanceFilter {
  from: Date | undefined
  to: Date | undefined
  /** Empty = any. */
  statuses: Set<string>
}

const PAGE = 100

/** Reads `createdTimeFrom`, `createdTimeTo` and `runtimeStatus`; what is not a time counts as absent. */
export function readFilter(query: URLSearchParams): InstanceFilter {
  const date = (name: string) => {
    const read = new Date(query.get(name) ?? '')
    return Number.isNaN(read.getTime()) ? undefined : read
  }
  const statuses = query.getAll('runtimeStatus').flatMap((list) => list.split(',').filter(Boolean))
  return { from: date('createdTimeFrom'), to: date('createdTimeTo'), statuses: new Set(statuses) }
}

/** Whether an instance is meant. */
export function matches(
  { from, to, statuses }: InstanceFilter,
  { createdAt, status }: ListedInstance,
): boolean {
  return (
    (!from || createdAt >= from) &&
    (!to || createdAt <= to) &&
    (statuses.size === 0 || statuses.has(status))
  )
}

/** Lists instances, 100 or `top` a page; `x-ms-continuation-token` leads to the next. */
export async function readList(engine: Engine, { query, request }: HostCall): Promise<HostReply> {
  const filter = readFilter(query)
  const size = Number(query.get('top')) || PAGE
  const token = String(request.headers['x-ms-continuation-token'] ?? '')
  const after = Buffer.from(token, 'base64url').toString('utf8')
  const found = (await engine.list()).filter((entry) => matches(filter, entry) && entry.id > after)
  const page = found.slice(0, size)
  const last = page.at(-1)
  const next =
    found.length > page.length && last ? Buffer.from(last.id).toString('base64url') : undefined
  const body = page.map(({ id, name, status, createdAt, updatedAt }) => ({
    name,
    instanceId: id,
    runtimeStatus: status,
    input: null,
    customStatus: null,
    output: null,
    createdTime: seconds(createdAt),
    lastUpdatedTime: seconds(updatedAt),
  }))
  return {
    status: 200,
    headers: {
      'content-type': 'application/json; charset=utf-8',
      ...(next && { 'x-ms-continuation-token': next }),
    },
    body: JSON.stringify(body),
  }
}

/** The body of a status answer. */
export function statusBody({ head, history }: StoredInstance, query: URLSearchParams): object {
  const asked = (name: string) => query.get(name)?.toLowerCase()
  const input = history.find(({ OrchestrationInstance }) => OrchestrationInstance)?.Input
  return {
    name: head.name,
    instanceId: head.id,
    runtimeStatus: head.status,
    input: asked('showInput') === 'false' ? null : parse(input),
    customStatus: parse(head.customStatus),
    output: parse(head.output),
    createdTime: seconds(head.createdAt),
    lastUpdatedTime: seconds(head.updatedAt),
    ...(asked('showHistory') === 'true' && {
      historyEvents: history.map((event) =>
        publicEvent(event, asked('showHistoryOutput') === 'true'),
      ),
    }),
  }
}

function publicEvent({ Work: _own, ...event }: HistoryEvent, withOutput: boolean): object {
  const { Input: _input, Result: _result, ...rest } = event
  return withOutput ? event : rest
}

function parse(json: string | null | undefined): unknown {
  return json === null || json === undefined ? null : JSON.parse(json)
}

function seconds(moment: Date) {
  return `${moment.toISOString().slice(0, 19)}Z`
}
