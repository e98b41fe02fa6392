import { isBelow, readAnswer, type Sink, toFit } from './sink.ts'

const MAX_BYTES = 1_000_000
/** The first version that takes tokens of Entra. */
const SEARCH = '?api-version=2018-01-01'

/** A custom topic with the input schema of CloudEvents: https://learn.microsoft.com/azure/event-grid/post-to-custom-topic */
export const eventGrid: Sink = {
  audiences: ['https://eventgrid.azure.net', 'https://eventgrid.azure.us'],
  inFlight: 2,
  accepts: (url) =>
    isBelow(url, ['.eventgrid.azure.net', '.eventgrid.azure.us']) &&
    url.pathname === '/api/events' &&
    ['', SEARCH].includes(url.search),
  toRequest(event) {
    const body = toFit(event, MAX_BYTES)
    const headers = { 'content-type': 'application/cloudevents-batch+json; charset=utf-8' }
    return body === undefined ? undefined : { headers, body: `[${body}]`, search: SEARCH }
  },
  readAnswer,
}
