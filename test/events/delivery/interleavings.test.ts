import fc from 'fast-check'
import { expect, test } from 'vitest'
import { runs } from '../../runs.ts'
import { withoutLease } from '../world.ts'
import { interleavings, play, type Replace } from './interleavings.ts'

const numRuns = runs(50, 5000)
const timeout = 600_000 + numRuns * 100

const property = (replaceDeps?: Replace) =>
  fc.asyncProperty(interleavings, async (interleaving) => {
    expect(await play(interleaving, replaceDeps)).toEqual([])
  })

test('in every order of dispatch, wake-up, lease, crash and release each event is posted in time, at most two at once', {
  timeout,
}, async () => {
  await fc.assert(property(), { numRuns })
})

/** Whether a planted fault is found. */
async function isFound(replaceDeps: Replace) {
  const { failed } = await fc.check(property(replaceDeps), {
    numRuns: 500,
    seed: 7,
    endOnFailure: true,
  })
  return failed
}

test('a sender that does not look again after it has released the lease is found', {
  timeout,
}, async () => {
  const blind: Replace = (deps) => ({
    ...deps,
    deliveries: {
      ...deps.deliveries,
      async due(id, now, limit) {
        const page = await deps.deliveries.due(id, now, limit)
        return limit === 1 ? { ...page, found: [] } : page
      },
    },
  })

  expect(await isFound(blind)).toBe(true)
})

test('a dispatch that wakes before it writes the rows is found', { timeout }, async () => {
  const early: Replace = (deps) => {
    let isSent = false
    return {
      ...deps,
      deliveries: {
        ...deps.deliveries,
        async enqueue(id, events, now) {
          await deps.queue.send({ subscription: id })
          isSent = true
          await deps.deliveries.enqueue(id, events, now)
        },
      },
      queue: {
        ...deps.queue,
        async send(message, options) {
          if (!isSent) await deps.queue.send(message, options)
          isSent = false
        },
      },
    }
  }

  expect(await isFound(early)).toBe(true)
})

test('a sender that does not check the lease is found', { timeout }, async () => {
  expect(await isFound(withoutLease)).toBe(true)
})
