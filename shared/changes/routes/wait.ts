import { z } from 'zod'
import { cloudEventSchema } from '../../events/event.ts'
import type { Reply } from '../../platform/route.ts'
import { askUpstream, findKnown, type ItemView } from '../find-item.ts'
import { type ChangesParts, changesRoute } from '../parts.ts'
import { itemIdSchema } from '../resource.ts'
import { itemSchema, resourceParam, storyOf, unknownItem } from './items.ts'

/** The name of the reading that a wait's ticket opens. */
export const WAIT_READING = 'changes-wait'

const MINUTE_MS = 60_000
const DAY_MS = 24 * 60 * MINUTE_MS
/** So long an id that nobody knows may still be on its way. */
const UNKNOWN_MS = 2 * MINUTE_MS
const LOOK_AGAIN_SECONDS = '20'

const minutes = z
  .string()
  .regex(/^[1-9]\d{0,4}$/, 'must be a whole number from 1 to 10080')
  .default('4380')
  .transform(Number)
  .refine((value) => value <= 10_080, 'must be a whole number from 1 to 10080')

const subjectSchema = z.object({
  resource: resourceParam,
  id: z.string(),
  since: z.string(),
  deadline: z.string(),
})

export const waitForItem = changesRoute({
  name: 'wait-for-item',
  method: 'GET',
  path: 'changes/{resource}/items/{id}/wait',
  summary:
    'Answers 202 with a Location until the item has come to its end or the deadline has passed',
  params: z.strictObject({ resource: resourceParam, id: itemIdSchema }),
  query: z.strictObject({ timeoutMinutes: minutes }),
  answers: {
    200: {
      description: 'The end of the wait.',
      body: z.strictObject({
        outcome: z.enum(['terminal', 'deadline', 'gone']),
        item: itemSchema.nullable(),
        events: z.array(cloudEventSchema),
      }),
    },
    202: {
      description: 'Not yet: ask Location again after Retry-After.',
      body: z.strictObject({ id: z.string(), state: z.string().nullable() }),
    },
  },
  async handle({ params: { resource, id }, query: { timeoutMinutes }, origin }, parts) {
    const now = parts.watch(resource).clock.now()
    const deadline = new Date(now.getTime() + timeoutMinutes * MINUTE_MS).toISOString()
    const subject = JSON.stringify({ resource, id, since: now.toISOString(), deadline })
    const ticket = await parts.tickets.issue(
      { reading: WAIT_READING, subject },
      timeoutMinutes * MINUTE_MS + DAY_MS,
    )
    return continueWait(subject, `${origin}/api/continue/${ticket}`, parts)
  },
})

/** What a wait's ticket reads. */
export async function continueWait(
  subject: string,
  location: string,
  parts: ChangesParts,
): Promise<Reply> {
  const { resource, id, since, deadline } = subjectSchema.parse(JSON.parse(subject))
  const watch = parts.watch(resource)
  const nowMs = watch.clock.now().getTime()
  const item = (await findKnown(watch, id)) ?? (await askUpstream(watch, id))
  const answer = async (outcome: string, about: ItemView | null): Promise<Reply> => ({
    status: 200,
    body: { outcome, item: about, events: await storyOf(watch, about?.id ?? id) },
  })
  if (item?.terminal) return answer('terminal', item)
  if (item?.reason) return answer('gone', item)
  if (nowMs >= Date.parse(deadline)) return answer('deadline', item ?? null)
  if (!item && nowMs - Date.parse(since) >= UNKNOWN_MS) throw unknownItem(resource, id)
  return {
    status: 202,
    body: { id, state: item?.state ?? null },
    headers: { location, 'retry-after': LOOK_AGAIN_SECONDS },
  }
}
