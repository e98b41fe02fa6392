import { type Queue, toVisibility } from '../shared/platform/queue.ts'
import type { Clock } from '../shared/platform/time.ts'

/** A received message; a later receiver has another receipt. */
export interface Received {
  id: string
  text: string
  dequeueCount: number
  receipt: string
}

/** A queue for its receiver. */
export interface QueueConsumer {
  /** Receives up to `most` visible messages, and hides them from others for some seconds. */
  receive(most: number, hiddenSeconds: number): Promise<Received[]>
  /** Deletes a message; rejects when its receipt is not the latest. */
  remove(message: Received): Promise<void>
  /** Hides a message for some seconds from now on; its receipt is no longer valid. */
  hide(message: Received, seconds: number): Promise<void>
}

/** A queue in memory with the contract of the real one, on a virtual clock. */
export interface MemoryQueue extends Queue, QueueConsumer {
  /** When the next message becomes visible, in milliseconds; undefined for an empty queue. */
  nextVisibleMs(): number | undefined
  /** The texts of all messages, hidden ones too. */
  texts(): string[]
  /** Resolves when a message is sent or hidden. */
  moved(): Promise<void>
}

interface Stored {
  id: string
  text: string
  visibleMs: number
  dequeueCount: number
  receipt: number
}

const MAX_BYTES = 65_536

/** Makes a queue in memory; it exists after `create`. */
export function createMemoryQueue(name: string, clock: Pick<Clock, 'now'>): MemoryQueue {
  let messages: Stored[] | undefined
  let count = 0
  let move = Promise.withResolvers<void>()
  const nowMs = () => clock.now().getTime()

  function open(): Stored[] {
    if (!messages) throw new Error(`the queue ${name} does not exist`)
    return messages
  }

  function held({ id, receipt }: Received): Stored {
    const message = open().find((one) => one.id === id)
    if (!message || String(message.receipt) !== receipt)
      throw new Error('somebody else has this message now')
    return message
  }

  function emitMove(): void {
    const done = move
    move = Promise.withResolvers<void>()
    done.resolve()
  }

  return {
    name,
    async create() {
      messages ??= []
    },
    async send(message, { delaySeconds } = {}) {
      await undefined
      const text = JSON.stringify(message)
      if (Buffer.byteLength(text) > MAX_BYTES) throw new Error('the message is too large')
      count += 1
      const visibleMs = nowMs() + toVisibility(delaySeconds) * 1000
      open().push({ id: String(count), text, visibleMs, dequeueCount: 0, receipt: 0 })
      emitMove()
    },
    async receive(most, hiddenSeconds) {
      await undefined
      const visible = open().filter(({ visibleMs }) => visibleMs <= nowMs())
      return visible.slice(0, most).map((message) => {
        message.dequeueCount += 1
        message.receipt += 1
        message.visibleMs = nowMs() + hiddenSeconds * 1000
        const { id, text, dequeueCount } = message
        return { id, text, dequeueCount, receipt: String(message.receipt) }
      })
    },
    async remove(message) {
      await undefined
      const stored = held(message)
      messages = open().filter((one) => one !== stored)
    },
    async hide(message, seconds) {
      await undefined
      const stored = held(message)
      stored.receipt += 1
      stored.visibleMs = nowMs() + seconds * 1000
      emitMove()
    },
    nextVisibleMs() {
      const all = open().map(({ visibleMs }) => visibleMs)
      return all.length === 0 ? undefined : all.reduce((a, b) => Math.min(a, b))
    },
    texts: () => open().map(({ text }) => text),
    moved: () => move.promise,
  }
}

/** The options of a queue's service. */
export interface Service {
  queue: MemoryQueue
  /** Gets the messages that have failed `MAX_FAILURES` times. */
  poison: Queue
  clock: Clock
  handle(message: unknown, dequeueCount: number): Promise<void>
}

const MAX_FAILURES = 5
const HIDDEN_WHILE_RUNNING_S = 600
const HIDDEN_AFTER_FAILURE_S = 30
/** The size of a batch, and the number of running messages below which the next batch is received: at most 24 run at once. */
const BATCH = 16
const NEXT_BATCH_BELOW = 8

/** Handles one received message like the host: deleted after a success, hidden after a failure, and finally poison. */
export async function handleReceived(
  { queue, poison, handle }: Pick<Service, 'poison' | 'handle'> & { queue: QueueConsumer },
  message: Received,
): Promise<void> {
  try {
    await handle(JSON.parse(message.text), message.dequeueCount)
  } catch {
    if (message.dequeueCount < MAX_FAILURES) return queue.hide(message, HIDDEN_AFTER_FAILURE_S)
    await poison.send(JSON.parse(message.text))
  }
  await queue.remove(message)
}

/** Serves a queue like the host, on the clock's time, until the test ends. */
export async function serveQueue(service: Service): Promise<never> {
  const { queue, clock } = service
  const alarms = new Map<number, Promise<void>>()
  const wakeAt = (ms: number) => {
    const alarm =
      alarms.get(ms) ??
      clock.sleep(Math.max(ms - clock.now().getTime(), 0)).then(() => void alarms.delete(ms))
    alarms.set(ms, alarm)
    return alarm
  }
  let running = 0
  let freed = Promise.withResolvers<void>()
  for (;;) {
    const move = queue.moved()
    const messages =
      running > NEXT_BATCH_BELOW ? [] : await queue.receive(BATCH, HIDDEN_WHILE_RUNNING_S)
    for (const message of messages) {
      running += 1
      void handleReceived(service, message).finally(() => {
        running -= 1
        freed.resolve()
      })
    }
    if (messages.length > 0) continue
    const next = queue.nextVisibleMs()
    const isFull = running > NEXT_BATCH_BELOW
    await Promise.race([
      freed.promise,
      ...(isFull ? [] : [move, ...(next === undefined ? [] : [wakeAt(next)])]),
    ])
    freed = Promise.withResolvers()
  }
}
