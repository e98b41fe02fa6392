import { odata, type TableClient } from '@azure/data-tables'
import { z } from 'zod'
import {
  createRowWriter,
  isStatus,
  joinText,
  openTable,
  pad,
  type Row,
  textRows,
} from '../storage.ts'
import { type HistoryEvent, historyEvent } from './history.ts'

/** The row key of a head in the partition of its instance. */
const HEAD = 'head'

/** How an instance stands, in the real host's words. */
const runtimeStatus = z.enum(['Pending', 'Running', 'Completed', 'Failed', 'Terminated'])
/** How an instance stands. */
export type RuntimeStatus = z.infer<typeof runtimeStatus>

const parentLink = z.object({ instanceId: z.string(), executionId: z.string(), taskId: z.number() })

/** The head of one execution of an instance. */
export interface InstanceHead {
  id: string
  executionId: string
  name: string
  version: string
  status: RuntimeStatus
  createdAt: Date
  updatedAt: Date
  /** Which task of which execution waits for this one. */
  parent: z.infer<typeof parentLink> | undefined
  /** JSON, like `output`. */
  customStatus: string | undefined
  output: string | undefined
  /** How many batches of events are part of the history; rows beyond were never finished. */
  batches: number
}

const headRow = z.object({
  executionId: z.string(),
  name: z.string(),
  version: z.string(),
  status: runtimeStatus,
  createdAt: z.date(),
  updatedAt: z.date(),
  parent: z.string().optional(),
  customStatus: z.string().optional(),
  batches: z.number(),
  hasOutput: z.boolean(),
})
/** The row in which a head is kept, without its output. */
function toHeadRow({ id, parent, customStatus, output, ...rest }: InstanceHead): Row {
  return {
    partitionKey: id,
    rowKey: HEAD,
    ...rest,
    hasOutput: output !== undefined,
    parent: parent && JSON.stringify(parent),
    customStatus,
  }
}

/** Reads such a row. */
function fromHeadRow(id: string, row: object): InstanceHead {
  const { parent, customStatus, hasOutput: _has, ...rest } = headRow.parse(row)
  const link = parent === undefined ? undefined : parentLink.parse(JSON.parse(parent))
  return { id, ...rest, parent: link, customStatus, output: undefined }
}

/** An instance as it is stored. */
export interface StoredInstance {
  head: InstanceHead
  history: HistoryEvent[]
  /** Activities that were begun, by event id; with their completion when they ended. */
  begun: Map<number, HistoryEvent | undefined>
}

/** One entry of the list of instances; for a live one it may be out of date. */
export interface ListedInstance {
  id: string
  name: string
  live: boolean
  status: RuntimeStatus
  createdAt: Date
  updatedAt: Date
}

/** Where instances live: `<hub>Instances` lists them, `<hub>History` holds one partition an instance. */
export interface Store {
  /** Starts an execution; replaces any earlier one with this id. */
  create(head: InstanceHead, events: HistoryEvent[]): Promise<void>
  /** Appends events and replaces the head in one step; `head.batches` already counts this batch. */
  commit(head: InstanceHead, events: HistoryEvent[]): Promise<void>
  /** Stores that an activity has started. */
  begin(head: InstanceHead, taskId: number): Promise<void>
  /** Stores the completion of an activity until it is in the history. */
  keep(head: InstanceHead, taskId: number, completion: HistoryEvent): Promise<void>
  /** Removes the rows of unfinished writes, then reads the instance. */
  restore(id: string): Promise<StoredInstance | undefined>
  read(id: string): Promise<StoredInstance | undefined>
  readHead(id: string): Promise<InstanceHead | undefined>
  list(): Promise<ListedInstance[]>
  /** Stores in the list that an instance has ended. */
  close(head: InstanceHead): Promise<void>
  purge(id: string): Promise<void>
}

const LIST = 'instance'

const listRow = z.object({
  rowKey: z.string(),
  name: z.string(),
  live: z.boolean(),
  status: runtimeStatus,
  createdAt: z.date(),
  updatedAt: z.date(),
})
const taskRow = z.object({ taskId: z.number(), done: z.boolean() })

/** Opens the store of a hub, creating its tables when they are not there. */
export async function openStore(connectionString: string, hubName: string): Promise<Store> {
  const [instances, history] = await Promise.all([
    openTable(connectionString, `${hubName}Instances`),
    openTable(connectionString, `${hubName}History`),
  ])
  const { write, remove } = createRowWriter(history)
  const listed = (head: InstanceHead, live: boolean) =>
    instances.upsertEntity(
      {
        partitionKey: LIST,
        rowKey: head.id,
        name: head.name,
        live,
        status: head.status,
        createdAt: head.createdAt,
        updatedAt: head.updatedAt,
      },
      'Replace',
    )

  const commit = async (head: InstanceHead, events: HistoryEvent[]) => {
    const batch = `${head.executionId}|batch|${pad(head.batches - 1, 8)}`
    const rows = textRows(head.id, batch, JSON.stringify(events))
    if (head.output !== undefined)
      rows.push(...textRows(head.id, `${head.executionId}|output`, head.output))
    await write(rows, toHeadRow(head))
  }

  async function load(id: string, sweep: boolean): Promise<StoredInstance | undefined> {
    const rows = await readPartition(history, id)
    const row = rows.find(({ rowKey }) => rowKey === HEAD)
    if (sweep && !row) await remove(rows)
    if (!row) return undefined
    const head = fromHeadRow(id, row)
    const prefix = (kind: string) => `${head.executionId}|${kind}|`
    const end = prefix('batch') + pad(head.batches, 8)
    const isNeeded = ({ rowKey }: Row) =>
      rowKey === HEAD ||
      (rowKey.startsWith(prefix('batch')) && rowKey < end) ||
      (rowKey.startsWith(prefix('output')) && row.hasOutput === true) ||
      rowKey.startsWith(prefix('task'))
    if (sweep) await remove(rows.filter((other) => !isNeeded(other)))
    const needed = rows.filter(isNeeded)
    const startingWith = (start: string) => needed.filter(({ rowKey }) => rowKey.startsWith(start))
    if (row.hasOutput) head.output = joinText(startingWith(prefix('output')))
    const events = Array.from({ length: head.batches }, (_none, index) =>
      joinText(startingWith(`${prefix('batch')}${pad(index, 8)}|`)),
    ).flatMap((json) => z.array(historyEvent).parse(JSON.parse(json)))
    const begun = new Map<number, HistoryEvent | undefined>()
    for (const task of startingWith(prefix('task')).filter(({ taskId }) => taskId !== undefined)) {
      const { taskId, done } = taskRow.parse(task)
      const json = done ? joinText(startingWith(`${task.rowKey}|`)) : undefined
      begun.set(taskId, json === undefined ? undefined : historyEvent.parse(JSON.parse(json)))
    }
    return { head, history: events, begun }
  }

  return {
    async create(head, events) {
      // The list is written first: an entry without an instance is detected, an instance without an entry would be lost.
      await listed(head, true)
      await commit(head, events)
    },
    commit,
    async begin({ id, executionId }, taskId) {
      await write([], {
        partitionKey: id,
        rowKey: `${executionId}|task|${pad(taskId, 8)}`,
        taskId,
        done: false,
      })
    },
    async keep({ id, executionId }, taskId, completion) {
      const rowKey = `${executionId}|task|${pad(taskId, 8)}`
      await write(textRows(id, rowKey, JSON.stringify(completion)), {
        partitionKey: id,
        rowKey,
        taskId,
        done: true,
      })
    },
    restore: (id) => load(id, true),
    read: (id) => load(id, false),
    async readHead(id) {
      try {
        return fromHeadRow(id, await history.getEntity(id, HEAD))
      } catch (error) {
        if (isStatus(error, 404)) return undefined
        throw error
      }
    },
    async list() {
      const found: ListedInstance[] = []
      for await (const row of instances.listEntities()) {
        const { rowKey: id, ...rest } = listRow.parse(row)
        found.push({ id, ...rest })
      }
      return found
    },
    async close(head) {
      await listed(head, false)
    },
    async purge(id) {
      // The entry of the list is deleted last, so that an interrupted purge can be repeated.
      await remove(await readPartition(history, id))
      await instances.deleteEntity(LIST, id).catch((error: unknown) => {
        if (!isStatus(error, 404)) throw error
      })
    },
  }
}

async function readPartition(history: TableClient, id: string): Promise<Row[]> {
  const rows: Row[] = []
  for await (const row of history.listEntities<Row>({
    queryOptions: { filter: odata`PartitionKey eq ${id}` },
  })) {
    rows.push(row)
  }
  return rows
}
