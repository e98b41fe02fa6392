import { z } from 'zod'
import type { Row } from './text-rows.ts'

/** The row key of a head in the partition of its instance. */
export const HEAD = 'head'

/** How an instance stands, in the real host's words. */
export const runtimeStatus = z.enum(['Pending', 'Running', 'Completed', 'Failed', 'Terminated'])
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
export function toHeadRow({ id, parent, customStatus, output, ...rest }: InstanceHead): Row {
  return {
    partitionKey: id,
    rowKey: HEAD,
    ...rest,
    hasOutput: output !== undefined,
    ...(parent && { parent: JSON.stringify(parent) }),
    ...(customStatus !== undefined && { customStatus }),
  }
}

/** Reads such a row. */
export function fromHeadRow(id: string, row: object): InstanceHead {
  const { parent, customStatus, hasOutput: _has, ...rest } = headRow.parse(row)
  const link = parent === undefined ? undefined : parentLink.parse(JSON.parse(parent))
  return { id, ...rest, parent: link, customStatus, output: undefined }
}
