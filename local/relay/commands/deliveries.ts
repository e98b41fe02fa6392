import type { Block } from '../blocks.ts'
import { factsOf } from '../blocks.ts'
import { path } from '../client.ts'
import type { Command } from '../command.ts'
import { pickList } from '../pick.ts'

const show = (body: unknown): Block[] => [
  {
    rows: pickList(body, 'deliveries'),
    columns: {
      event: 'eventId',
      stream: 'stream',
      seq: 'seq',
      state: 'state',
      round: 'round',
      attempt: 'attempt',
      next: 'nextAttemptAt',
      'last at': 'last.at',
      status: 'last.status',
      reason: 'last.reason',
    },
  },
]

/** What became of telling them. */
export const deliveryCommands: readonly Command[] = [
  {
    usage: 'deliveries list <subscription>',
    summary: 'What a subscription is owed, was delivered lately, or was given up',
    options: ['state'],
    list: 'deliveries',
    ask: ({ args: { subscription = '' }, options: { state } }) => ({
      path: path`subscriptions/${subscription}/deliveries`,
      query: { state },
    }),
    show,
  },
  {
    usage: 'deliveries dead <subscription>',
    summary: 'What was given up',
    list: 'deliveries',
    ask: ({ args: { subscription = '' } }) => ({
      path: path`subscriptions/${subscription}/deliveries`,
      query: { state: 'dead' },
    }),
    show,
  },
  {
    usage: 'deliveries replay <subscription>',
    summary:
      'Delivers again what was given up, or with --after everything after a "next" of the events',
    options: ['after'],
    ask: ({ args: { subscription = '' }, options: { after } }) => ({
      method: 'POST',
      path: path`subscriptions/${subscription}/replay`,
      body: after === undefined ? { dead: true } : { after },
    }),
    show: (body) => [{ facts: factsOf(body) }],
  },
]
