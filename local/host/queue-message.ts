import type { DequeuedMessageItem } from '@azure/storage-queue'
import type { TypedData } from './contract.ts'

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
