import { type DequeuedMessageItem, QueueClient } from '@azure/storage-queue'
import type { AdjustableClock } from '../clock.ts'
import type { TypedData } from './contract.ts'
import type { HostJson } from './settings.ts'
import { isStatus } from './storage.ts'
import type { FunctionOf } from './triggers.ts'

type QueueFunction = FunctionOf<'queue'>

/** What queue triggers need. */
export interface QueueDeps {
  functions: QueueFunction[]
  options: HostJson['queues']
  clock: AdjustableClock
  /** Runs a function on one message; false = it failed. */
  run(fn: QueueFunction, input: TypedData, metadata: Record<string, TypedData>): Promise<boolean>
  print(line: string): void
}

const HIDDEN_WHILE_RUNNING_S = 600
const SHORTEST_POLL_MS = 100
const POISON_TTL_S = 7 * 86_400

/** Running queue triggers. */
export interface Queues {
  /** Receives no more messages. */
  stop(): void
  /** Whether a message is being processed. */
  isBusy(): boolean
}

/** Starts polling every queue. */
export function startQueues(deps: QueueDeps): Queues {
  const stopping = new AbortController()
  const polls = deps.functions.map((fn) => poll(deps, fn, stopping.signal))
  return {
    stop: () => stopping.abort(new Error('the host stops')),
    isBusy: () => polls.some(({ running }) => running > 0),
  }
}

/** Polls one queue; returns immediately and counts the messages in progress. */
function poll(deps: QueueDeps, fn: QueueFunction, signal: AbortSignal): { running: number } {
  const inHand = { running: 0 }
  void pollOn(deps, fn, signal, inHand)
  return inHand
}

async function pollOn(
  deps: QueueDeps,
  fn: QueueFunction,
  signal: AbortSignal,
  inHand: { running: number },
) {
  const { options, clock, print } = deps
  const queue = new QueueClient(fn.connectionString, fn.queueName)
  let pauseMs = SHORTEST_POLL_MS
  let wake = () => {}
  while (!signal.aborted) {
    try {
      if (inHand.running > options.newBatchThreshold) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
        continue
      }
      const messages = await receive(queue, options.batchSize)
      pauseMs =
        messages.length > 0 ? SHORTEST_POLL_MS : Math.min(pauseMs * 2, options.maxPollingIntervalMs)
      for (const message of messages) {
        inHand.running += 1
        void handle(deps, fn, queue, message)
          .catch((error: unknown) =>
            print(`error: [${fn.name}] message ${message.messageId}: ${error}`),
          )
          .finally(() => {
            inHand.running -= 1
            wake()
          })
      }
      if (messages.length === 0) await clock.sleep(pauseMs, signal)
    } catch (error) {
      if (signal.aborted) return
      print(`error: [${fn.name}] the queue '${fn.queueName}' cannot be read: ${error}`)
      await clock.sleep(options.maxPollingIntervalMs, signal).catch(() => {})
    }
  }
}

async function receive(
  queue: QueueClient,
  numberOfMessages: number,
): Promise<DequeuedMessageItem[]> {
  try {
    const answer = await queue.receiveMessages({
      numberOfMessages,
      visibilityTimeout: HIDDEN_WHILE_RUNNING_S,
    })
    return answer.receivedMessageItems
  } catch (error) {
    // The trigger does not create its queue: until someone does, there is nothing to take.
    if (isStatus(error, 404)) return []
    throw error
  }
}

async function handle(
  deps: QueueDeps,
  fn: QueueFunction,
  queue: QueueClient,
  message: DequeuedMessageItem,
) {
  const { options, print } = deps
  const text = readMessage(message.messageText, options.messageEncoding)
  if (text === undefined) print(`error: [${fn.name}] message ${message.messageId} is not base64`)
  // The process that received it last has crashed: it is not tried again.
  if (text === undefined || message.dequeueCount > options.maxDequeueCount)
    return toPoison(fn, queue, message)

  const hold = holdMessage(deps, queue, message)
  const done = await deps.run(fn, { string: text }, queueMetadata(message, text)).finally(hold.end)
  if (done) return void (await ignoreGone(queue.deleteMessage(message.messageId, hold.receipt())))
  if (message.dequeueCount >= options.maxDequeueCount) {
    print(
      `error: [${fn.name}] message ${message.messageId} has failed ${message.dequeueCount} times`,
    )
    return toPoison(fn, queue, { ...message, popReceipt: hold.receipt() })
  }
  const hiddenS = Math.floor(options.visibilityTimeoutMs / 1000)
  await ignoreGone(queue.updateMessage(message.messageId, hold.receipt(), undefined, hiddenS))
}

/** Keeps a message hidden for as long as its function runs. */
function holdMessage(
  { clock, print }: QueueDeps,
  queue: QueueClient,
  message: DequeuedMessageItem,
) {
  const ended = new AbortController()
  let receipt = message.popReceipt
  const renew = async () => {
    while (!ended.signal.aborted) {
      await clock.sleep((HIDDEN_WHILE_RUNNING_S * 1000) / 2, ended.signal)
      const renewed = await queue.updateMessage(
        message.messageId,
        receipt,
        undefined,
        HIDDEN_WHILE_RUNNING_S,
      )
      receipt = renewed.popReceipt ?? receipt
    }
  }
  const renewing = renew().catch((error: unknown) => {
    if (!ended.signal.aborted)
      print(`error: message ${message.messageId} could not be kept: ${error}`)
  })
  return {
    receipt: () => receipt,
    async end() {
      ended.abort(new Error('the function has ended'))
      await renewing
    },
  }
}

async function toPoison(
  { queueName, connectionString }: QueueFunction,
  queue: QueueClient,
  message: DequeuedMessageItem,
) {
  // A poison queue has none of its own: its messages stay, hidden, until they expire.
  if (queueName.endsWith('-poison')) return
  const poison = new QueueClient(connectionString, `${queueName}-poison`)
  await poison.createIfNotExists()
  await poison.sendMessage(message.messageText, { messageTimeToLive: POISON_TTL_S })
  await ignoreGone(queue.deleteMessage(message.messageId, message.popReceipt))
}

async function ignoreGone(call: Promise<unknown>) {
  try {
    await call
  } catch (error) {
    if (!isStatus(error, 404)) throw error
  }
}

/** The text inside a message; undefined when it is not in the queue's encoding. */
export function readMessage(raw: string, encoding: 'none' | 'base64'): string | undefined {
  if (encoding === 'none') return raw
  const bytes = Buffer.from(raw, 'base64')
  return bytes.toString('base64') === raw.trim() ? bytes.toString('utf8') : undefined
}

/** The trigger metadata of a message; fields of its own JSON win over the queue's. */
export function queueMetadata(
  message: DequeuedMessageItem,
  text: string,
): Record<string, TypedData> {
  const own = {
    queueTrigger: text,
    dequeueCount: message.dequeueCount,
    expirationTime: message.expiresOn.toISOString(),
    id: message.messageId,
    insertionTime: message.insertedOn.toISOString(),
    nextVisibleTime: message.nextVisibleOn.toISOString(),
    popReceipt: message.popReceipt,
  }
  const metadata = Object.entries({ ...own, ...fieldsOf(text) }).map(
    ([name, value]): [string, TypedData] => [name, { json: JSON.stringify(value) }],
  )
  return Object.fromEntries(metadata)
}

function fieldsOf(text: string): object {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {}
  } catch {
    return {}
  }
}
