import { z } from 'zod'

/** A caller may choose the id of its request: a GUID, as Azure's own clients send it. Other text could forge a log line. */
const requestId = z.guid()
/** https://www.w3.org/TR/trace-context/#traceparent-header */
const traceparent =
  /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-|$)/

/** The correlation id of a request: the caller's own where it is well-formed, else the id of the invocation. */
export function correlationFor(headers: Pick<Headers, 'get'>, invocationId: string) {
  const named = requestId.safeParse(headers.get('x-ms-client-request-id')).data
  return named ?? traceparent.exec(headers.get('traceparent') ?? '')?.[1] ?? invocationId
}

const carrier = z.object({ correlation: z.string().regex(/^[\w-]{1,64}$/) })

/** The correlation id in a queue message or in the input of an activity; undefined where there is none. */
export const correlationIn = (input: unknown) => carrier.safeParse(input).data?.correlation
