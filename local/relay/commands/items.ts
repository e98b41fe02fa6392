import { factsOf } from '../blocks.ts'
import { path } from '../client.ts'
import type { Command } from '../command.ts'
import { pick, pickList } from '../pick.ts'
import { eventColumns } from './events.ts'

/** The raw item is for `--json`. */
const itemFacts = (item: unknown) => ({ facts: factsOf(item, ['item']) })

const story = (body: unknown) => ({
  title: 'events',
  rows: pickList(body, 'events'),
  columns: eventColumns,
})

/** What is watched upstream. */
export const itemCommands: readonly Command[] = [
  {
    usage: 'items list <resource>',
    summary: 'What is watched among machine-actions or investigations',
    options: ['state', 'type', 'machine', 'requestor', 'alert'],
    list: 'items',
    ask: ({ args: { resource = '' }, options: { state, type, machine, requestor, alert } }) => ({
      path: path`changes/${resource}/items`,
      query: { state, type, requestor, machineId: machine, triggeringAlertId: alert },
    }),
    show: (body) => [
      {
        rows: pickList(body, 'items'),
        columns: {
          id: 'id',
          state: 'state',
          'open since': 'openSince',
          type: 'type',
          device: 'computerDnsName',
          requestor: 'requestor',
          comment: 'requestorComment',
        },
      },
    ],
  },
  {
    usage: 'items show <resource> <id>',
    summary: 'One item with its whole known story',
    ask: ({ args: { resource = '', id = '' } }) => ({
      path: path`changes/${resource}/items/${id}`,
    }),
    show: (body) => [itemFacts(pick(body, 'item')), story(body)],
  },
  {
    usage: 'items wait <resource> <id>',
    summary: 'Waits until an item has come to its end, then shows it',
    options: ['minutes'],
    ask: ({ args: { resource = '', id = '' }, options: { minutes } }) => ({
      path: path`changes/${resource}/items/${id}/wait`,
      query: { timeoutMinutes: minutes },
    }),
    waits: () => true,
    show: (body) => [
      { facts: [['outcome', pick(body, 'outcome')]] },
      itemFacts(pick(body, 'item')),
      story(body),
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
    show: (body) => [{ facts: factsOf(body) }],
  },
]
