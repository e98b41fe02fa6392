import type { Clock } from '../../shared/platform/time.ts'
import { gatewayPage, json, type Reply } from './reply.ts'

/** How a receiver behaves; each is the name of a way to be a bad one, but for the first. */
export type ReceiverMode =
  | 'accept'
  | 'refuse'
  | 'stall'
  | 'gone'
  | 'throttle'
  | 'reset'
  | 'html'
  | 'redirect'
  | 'drip'
  | 'huge'

interface AnswerParts {
  status: number
  retryAfter: string | null
  clock: Clock
  signal: AbortSignal
  url: string
}

const answers: Record<ReceiverMode, (parts: AnswerParts) => Reply> = {
  accept: () => ({ status: 204 }),
  refuse: ({ status }) => json(status, { error: 'refused on purpose' }),
  stall: () => ({ status: 0, silent: true }),
  gone: () => json(410, { error: 'gone' }),
  throttle: ({ status, retryAfter }) =>
    json(
      status === 503 ? 503 : 429,
      { error: 'too many' },
      retryAfter === null ? {} : { 'retry-after': retryAfter },
    ),
  reset: () => ({ status: 0, reset: true }),
  html: () => gatewayPage(),
  redirect: ({ url }) => ({ status: 307, headers: { location: `${url}/elsewhere` } }),
  drip: ({ clock, signal }) => ({
    status: 200,
    headers: { 'content-type': 'text/plain' },
    body: drops(clock, signal),
  }),
  huge: () => ({
    status: 200,
    headers: { 'content-type': 'text/plain' },
    body: Buffer.alloc(8 * 2 ** 20, 'x'),
  }),
}

/** What a receiver of this mode answers to a post. */
export const receiverAnswer = (mode: ReceiverMode, parts: AnswerParts): Reply =>
  answers[mode](parts)

/** A byte a second, without end. */
async function* drops(clock: Clock, signal: AbortSignal): AsyncIterable<Buffer> {
  for (;;) {
    yield Buffer.from('.')
    await clock.sleep(1000, signal)
  }
}
