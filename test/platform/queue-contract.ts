import { setTimeout as sleep } from 'node:timers/promises'
import { beforeEach, describe, expect, test } from 'vitest'
import type { Queue } from '../../shared/platform/queue.ts'
import type { QueueConsumer, Received } from '../memory-queue.ts'

/** A queue with its receiver. `pass` moves the queue's time, or waits a moment when the time is real. */
export interface OpenQueue {
  queue: Queue
  consumer: QueueConsumer
  pass(seconds: number): Promise<void>
}

/** The promises of every queue. `open` answers a queue that does not exist yet. */
export function promiseQueue(kind: string, open: () => Promise<OpenQueue>): void {
  describe(`a queue ${kind}`, () => {
    let queue: Queue
    let consumer: QueueConsumer
    let pass: OpenQueue['pass']

    beforeEach(async () => {
      ;({ queue, consumer, pass } = await open())
      await queue.create()
    })

    /** Tries until a message is visible. */
    async function received(): Promise<Received> {
      for (;;) {
        const [message] = await consumer.receive(1, 30)
        if (message) return message
        await pass(1)
      }
    }

    test('a message comes out as the JSON text that went in', async () => {
      const message = { subscription: 'a', seq: 7, text: 'ä😀 <b> "&"' }

      await queue.send(message)
      const { text, dequeueCount } = await received()

      expect({ text: JSON.parse(text), dequeueCount }).toEqual({ text: message, dequeueCount: 1 })
    })

    test('a received message is hidden from others and comes once', async () => {
      await queue.send({ n: 1 })
      await queue.send({ n: 2 })

      const first = await consumer.receive(32, 30)
      const second = await consumer.receive(32, 30)

      expect(first.map(({ text }) => text).sort()).toEqual(['{"n":1}', '{"n":2}'])
      expect(second).toEqual([])
    })

    test('a removed message never comes back', async () => {
      await queue.send({ n: 1 })

      const message = await received()
      await consumer.remove(message)

      await expect(consumer.remove(message)).rejects.toBeInstanceOf(Error)
      expect(await consumer.receive(32, 30)).toEqual([])
    })

    test('a delayed message is not seen before its time, rounded up to whole seconds', async () => {
      await queue.send({ n: 1 }, { delaySeconds: 1.2 })

      const early = await consumer.receive(32, 30)
      const late = await received()

      expect(early).toEqual([])
      expect(late.text).toBe('{"n":1}')
    })

    test('a message that is put back comes again, counted, under another receipt', async () => {
      await queue.send({ n: 1 })

      const first = await received()
      await consumer.hide(first, 2)
      const hidden = await consumer.receive(32, 30)
      const second = await received()

      expect(hidden).toEqual([])
      expect([first.dequeueCount, second.dequeueCount, second.id]).toEqual([1, 2, first.id])
      await expect(consumer.remove(first)).rejects.toBeInstanceOf(Error)
      await consumer.remove(second)
    })

    test('a message that nobody puts back comes again when its hiding ends', async () => {
      await queue.send({ n: 1 })

      const [first] = await consumer.receive(1, 1)
      const second = await received()

      expect([first?.dequeueCount, second.dequeueCount]).toEqual([1, 2])
    })

    test('the longest delay is seven days, and a longer one is cut', async () => {
      await queue.send({ n: 1 }, { delaySeconds: 604_800 })
      await queue.send({ n: 2 }, { delaySeconds: 10_000_000 })

      expect(await consumer.receive(32, 30)).toEqual([])
    })

    test('a message of 64 KiB is taken, a larger one refused', async () => {
      const text = 'x'.repeat(65_536 - 2)

      await queue.send(text)

      await expect(queue.send(`${text}x`)).rejects.toBeInstanceOf(Error)
      expect((await received()).text).toHaveLength(65_536)
    })

    test('creating a queue that exists leaves its messages', async () => {
      await queue.send({ n: 1 })

      await queue.create()

      expect((await received()).text).toBe('{"n":1}')
    })

    test('a queue that does not exist takes no message', async () => {
      const { queue: missing } = await open()

      await expect(missing.send({ n: 1 })).rejects.toBeInstanceOf(Error)
    })
  })
}

/** Lets a moment of real time pass. */
export const passMoment = (): Promise<void> => sleep(50)
