import type { DurableClient } from 'durable-functions'
import type { Executor } from '../exports/engine.ts'

const ENDED = new Set(['Completed', 'Failed', 'Terminated', 'Canceled'])

/** The engine's view of the durable client of an invocation. */
export function createExecutor(client: DurableClient): Executor {
  return {
    async start(orchestrator, instanceId, input) {
      try {
        await client.startNew(orchestrator, { instanceId, input })
      } catch (error) {
        // Somebody else has started this very instance: that is what was wanted.
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
        // Nobody knows it any more; one that has ended meanwhile is fine with the client already.
        if (!/No instance with ID/.test(String(error))) throw error
      }
    },
  }
}

/** The client throws plain errors that name the status in their text alone. */
function isStatus(error: unknown, status: number): boolean {
  return (
    error instanceof Error &&
    new RegExp(`(?:HTTP|status code:?)\\s*${status}\\b`, 'i').test(error.message)
  )
}
