import type { CloudEvent } from '../../event.ts'
import { isBelow, readAnswer, type Sink, toFit } from './sink.ts'

/** The service takes 256 KB with all properties. */
const MAX_BYTES = 240 * 1024
/** The longest id of a message or session, in characters. */
const MAX_ID = 128

/**
 * A queue or topic, one message a request: https://learn.microsoft.com/rest/api/servicebus/send-message-to-queue
 *
 * Events of a device have one session. One post is under way at a time and a failure pauses the subscription, so that
 * the messages of a session keep the order of events.
 */
export const serviceBus: Sink = {
  audiences: [
    'https://servicebus.azure.net',
    'https://servicebus.usgovcloudapi.net',
    'https://servicebus.chinacloudapi.cn',
  ],
  inFlight: 1,
  accepts: (url) =>
    isBelow(url, [
      '.servicebus.windows.net',
      '.servicebus.usgovcloudapi.net',
      '.servicebus.chinacloudapi.cn',
    ]) && /^(?:\/[\w.~-]+)+\/messages$/.test(`${url.pathname}${url.search}`),
  toRequest(event) {
    const body = toFit(event, MAX_BYTES)
    const properties = {
      MessageId: event.id.slice(0, MAX_ID),
      SessionId: sessionOf(event).slice(0, MAX_ID),
      Label: event.type,
    }
    const brokerproperties = toAscii(JSON.stringify(properties))
    return body === undefined
      ? undefined
      : { headers: { 'content-type': 'application/cloudevents+json', brokerproperties }, body }
  },
  readAnswer(answer) {
    const outcome = readAnswer(answer)
    // A message that is too large has this status too, but ours is not.
    return outcome.status === 403 ? { ...outcome, reason: 'quota-exceeded' } : outcome
  },
}

/** The device, or the stream, which the id of an event begins with. */
function sessionOf({ id, data: { machineId } }: CloudEvent) {
  return typeof machineId === 'string' && machineId !== '' ? machineId : id.replace(/-[^-]*$/, '')
}

/** A header has ASCII only. */
const toAscii = (json: string) =>
  json.replace(/[^ -~]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
