import { createHmac, timingSafeEqual } from 'node:crypto'

/** The headers of a delivery that its signature is about. */
export interface SignedHeaders {
  id: string
  timestamp: string
  /** One or more of `v1,<base64>`, with spaces between. */
  signature: string
}

/**
 * Whether one of the signatures was made with one of the secrets (`whsec_` and base64).
 * https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
export function isSigned(
  { id, timestamp, signature }: SignedHeaders,
  body: string,
  secrets: string[],
): boolean {
  const given = signature
    .split(' ')
    .flatMap((part) => (part.startsWith('v1,') ? [Buffer.from(part.slice(3))] : []))
  return secrets.some((secret) => {
    const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64')
    const right = Buffer.from(
      createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64'),
    )
    return given.some((one) => one.length === right.length && timingSafeEqual(one, right))
  })
}
