import type { DurableClient } from 'durable-functions'
import type { Executor } from '../exports/engine.ts'

const ENDED = new Set(['Completed', 'Failed', 'Terminated', 'Canceled'])

/** Adapts the durable client of an invocation to what the export engine needs. */
export function createExecutor(client: DurableClient): Executor {
  return {
    async start(orchestrator, instanceId, input) {
      try {
        await client.startNew(orchestrator, { instanceId, input })
      } catch (error) {
        // Another caller has started the same instance: that is what was wanted.
        if (!isStatus(error, 409)) throw error
      }
    },
    async status(instanceId) {
      try {
        const { runtimeStatus } = await client.getStatus(instanceId)
        return ENDED.has(String(runtimeStatus)) ? 'ended' : 'live'
      } catch (error) {
        if (isStatus(error, 404)) return 'absent'
        throw error
      }
    },
    async terminate(instanceId, reason) {
      try {
        await client.terminate(instanceId, reason)
      } catch (error) {
        // The instance is deleted already. For one that has ended meanwhile the client throws nothing.
        if (!/No instance with ID/.test(String(error))) throw error
      }
    },
  }
}

/** The client throws plain errors; only their text holds the status. */
function isStatus(error: unknown, status: number) {
  return (
    error instanceof Error &&
    new RegExp(`(?:HTTP|status code:?)\\s*${status}\\b`, 'i').test(error.message)
  )
}
