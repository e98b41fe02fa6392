import { z } from 'zod'
import type { DataFolder } from './data-folder.ts'
import { toPlain } from './plain-text.ts'
import type { Receiver } from './simulator/receiver.ts'

/** Where the app is asked, and what it is told about. */
export interface FollowOptions {
  url: string
  key: string
  folder: DataFolder
  receiver: Receiver
  say(line: string): void
}

const event = z.object({
  type: z.string(),
  subject: z.string(),
  data: z.looseObject({
    from: z.string().nullish(),
    to: z.string().nullish(),
    type: z.string().nullish(),
    computerDnsName: z.string().nullish(),
    requestor: z.string().nullish(),
  }),
})

/** Subscribes the built-in receiver to every event, as any webhook would, and says each one that is delivered. */
export async function followEvents({
  url,
  key,
  folder,
  receiver,
  say,
}: FollowOptions): Promise<void> {
  const post = (path: string, body: unknown) =>
    fetch(`${url}/api/${path}`, {
      method: 'POST',
      headers: { 'x-functions-key': key, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
  const { callbackUrl: before } = folder.state
  // The receiver has another port after a restart: what was subscribed before leads nowhere.
  if (before !== undefined && before !== receiver.url)
    await post('subscriptions/unsubscribe', { callbackUrl: before })
  const streams = ['machine-actions', 'investigations', 'av-health']
  const answer = await post('subscriptions', {
    callbackUrl: receiver.url,
    description: 'npm start',
    filter: { streams },
  })
  if (!answer.ok)
    throw new Error(
      `the built-in receiver could not subscribe: ${answer.status} ${await answer.text()}`,
    )
  folder.state.callbackUrl = receiver.url
  folder.save()
  const { secret } = z.object({ secret: z.string().optional() }).parse(await answer.json())
  receiver.setSecret(secret)
  receiver.onDelivery(({ body, signatureOk }) => {
    const read = event.safeParse(body)
    if (read.success) say(toPlain(describeEvent(read.data, signatureOk)))
  })
}

/** One line for one event: what it is about, old → new state. */
function describeEvent(
  { type, subject, data }: z.infer<typeof event>,
  signatureOk: boolean | null,
): string {
  const about = [data.type, data.computerDnsName, data.requestor].filter(Boolean).join(', ')
  const step = data.from || data.to ? `${data.from ?? '·'} → ${data.to ?? '·'}` : ''
  const signature = signatureOk === false ? '  SIGNATURE IS WRONG' : ''
  return `event  ${type.replace('defender-relay.', '').padEnd(26)} ${subject}  ${step}  ${about.slice(0, 80)}${signature}`
}
