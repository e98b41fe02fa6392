import { path, RelayError } from '../client.ts'
import type { Command } from '../command-line.ts'
import {
  type Columns,
  factsOf,
  pick,
  pickList,
  pickText,
  showFacts,
  showList,
  stateText,
} from '../format.ts'

/** The raw item is for `--json`. */
const itemFacts = (item: unknown) => ({ facts: factsOf(item, ['item']) })

const itemEvents = (body: unknown) => ({
  title: 'events',
  rows: pickList(body, 'events'),
  columns: eventColumns,
  drop: eventDrop,
})

/** The columns of events: type, item, old → new state, device. */
const eventColumns: Columns = {
  detected: 'detectedat',
  event: (row) => pickText(row, 'type').replace(/^defender-relay\./, ''),
  item: 'subject',
  step(row) {
    const [from, to] = [stateText(pick(row, 'data.from')), stateText(pick(row, 'data.to'))]
    return from || to ? `${from ?? '·'} → ${to ?? '·'}` : null
  },
  type: 'data.type',
  device: 'data.computerDnsName',
  requestor: 'data.requestor',
}

const eventDrop = ['item', 'event']

/** The watched items, and the detected changes. */
export const changeCommands: readonly Command[] = [
  {
    usage: 'items list <resource>',
    summary: 'Watched items of machine-actions or investigations',
    options: [
      ...(['state', 'type', 'machine', 'name', 'requestor', 'alert'] as const),
      ...(['open-for', 'created-after', 'created-before'] as const),
    ],
    list: 'items',
    csv: true,
    ask: ({ args: { resource = '' }, options: { state, type, name, requestor, ...more } }) => ({
      path: path`changes/${resource}/items`,
      query: {
        ...{ state, type, name, requestor },
        machineId: more.machine,
        triggeringAlertId: more.alert,
        openFor: more['open-for'],
        createdAfter: more['created-after'],
        createdBefore: more['created-before'],
      },
    }),
    show: showList(
      'items',
      {
        id: 'id',
        state: 'state',
        'open since': 'openSince',
        type: 'type',
        device: 'computerDnsName',
        requestor: 'requestor',
        'duplicate of': 'duplicateOf',
        comment: 'requestorComment',
      },
      ['comment', 'open since'],
    ),
  },
  {
    usage: 'items show <resource> <id>',
    summary: 'One item with all its events',
    ask: ({ args: { resource = '', id = '' } }) => ({
      path: path`changes/${resource}/items/${id}`,
    }),
    show: (body) => [itemFacts(pick(body, 'item')), itemEvents(body)],
  },
  {
    usage: 'items wait <resource> <id>',
    summary: 'Waits until an item has ended, then shows it',
    options: ['minutes', 'fail-on'],
    ask: ({ args: { resource = '', id = '' }, options: { minutes, 'fail-on': failOn } }) => ({
      path: path`changes/${resource}/items/${id}/wait`,
      query: { timeoutMinutes: minutes, failOn },
    }),
    waits: () => true,
    show: (body) => [
      { facts: [['outcome', pick(body, 'outcome')]] },
      itemFacts(pick(body, 'item')),
      itemEvents(body),
    ],
    isGood: (body) => pick(body, 'outcome') === 'terminal',
  },
  {
    usage: 'check <resource>',
    summary: 'Polls machine-actions or investigations now',
    ask: ({ args: { resource = '' } }) => ({
      method: 'POST',
      path: path`changes/${resource}/check`,
      body: {},
    }),
    waits: () => true,
    show: showFacts,
  },
  {
    usage: 'events list',
    summary: 'All detected changes, oldest first',
    options: ['stream', 'type', 'kind', 'machine', 'item', 'since', 'follow'],
    list: 'events',
    async ask({ options: { stream, type, kind, machine, item, since, after, follow }, ask }) {
      const query = { stream, type, kind, machineId: machine, itemId: item }
      if (!follow || since !== undefined || after !== undefined)
        return { path: 'events', query: { ...query, since } }
      const { location } = await ask({ path: 'events/trigger', query })
      const now = location === null ? null : URL.parse(location)?.searchParams.get('after')
      if (!now) throw new RelayError('The app did not answer the end of its events.')
      return { path: 'events', query: { ...query, after: now } }
    },
    show: showList('events', eventColumns, eventDrop),
  },
]
