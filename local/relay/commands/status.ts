import { inThisShell } from '../../terminal.ts'
import type { Command } from '../command-line.ts'
import {
  type Block,
  factsOf,
  isRecord,
  pick,
  pickEntries,
  pickList,
  pickText,
  sayDuration,
} from '../format.ts'

/** The status page. */
export const statusCommands: readonly Command[] = [
  {
    usage: 'status',
    summary: 'The state of every flow, and its problems',
    ask: () => ({ path: 'status' }),
    show(body): Block[] {
      const sections = pickEntries(body, 'sections')
      const upstreams = pickEntries(body, 'upstreams').filter((one) =>
        isRecord(pick(body, `upstreams.${one.name}`)),
      )
      return [
        { facts: ['overall', 'version', 'time'].map((name) => [name, pick(body, name)]) },
        { title: 'sections', rows: sections, columns: { section: 'name', state: 'state' } },
        { title: 'problems', texts: pickList(body, 'problems').map((one) => describe(one, body)) },
        { title: 'notices', texts: pickList(body, 'notices').map((one) => describe(one, body)) },
        {
          title: 'upstreams',
          rows: upstreams,
          columns: {
            upstream: 'name',
            state: 'state',
            'last ok': 'lastOkAt',
            'last error': 'lastError.title',
          },
        },
        {
          title: 'calls left',
          rows: upstreams.flatMap((one) =>
            pickEntries(one, 'budgets').map((budget) => ({ ...budget, upstream: one.name })),
          ),
          columns: {
            upstream: 'upstream',
            family: 'name',
            'this minute': 'minuteLeft',
            'this hour': 'hourLeft',
            'stopped until': 'stoppedUntil',
          },
        },
        {
          title: 'changes',
          rows: pickEntries(body, 'changes'),
          columns: {
            resource: 'name',
            open: 'openItems',
            'oldest since': 'oldestOpen.since',
            lag: (row) => sayDuration(pick(row, 'detectionLagSeconds')),
            'last poll': 'lastPoll.endedAt',
            'next poll': 'nextPollAt',
            error: 'lastPoll.error',
          },
          // It is among the problems.
          drop: ['error'],
        },
        {
          title: 'events',
          rows: pickEntries(body, 'events'),
          columns: {
            stream: 'name',
            oldest: (stream) => (isEmpty(stream) ? 'no events' : pick(stream, 'oldest')),
            newest: (stream) => pick(stream, 'head') || null,
            dispatched: 'dispatched',
            lag: (row) => sayDuration(pick(row, 'lagSeconds')),
          },
        },
        { title: 'deliveries', facts: factsOf(pick(body, 'deliveries')) },
        {
          title: 'failing subscriptions',
          rows: [
            ...pickList(body, 'deliveries.failing').map((one) => ({ state: 'failing', one })),
            ...pickList(body, 'deliveries.disabled').map((one) => ({ state: 'disabled', one })),
          ],
          columns: {
            subscription: 'one.id',
            state: 'state',
            host: 'one.callbackHost',
            since: 'one.since',
            reason: 'one.reason',
          },
        },
        { title: 'antivirus health', facts: factsOf(pick(body, 'avHealth')) },
        { title: 'tickets', facts: factsOf(pick(body, 'tickets')) },
      ]
    },
  },
]

/** A problem with its time, cause and fix, and what follows from it. */
function describe(problem: unknown, body: unknown) {
  const [since, time] = [pickText(problem, 'since'), pickText(body, 'time')]
  const age = sayDuration((Date.parse(time) - Date.parse(since)) / 1000)
  const facts: [string, string][] = [
    ['since', since && `${since} (${age})`],
    ['cause', pickText(problem, 'cause')],
    ...pickList(problem, 'consequences').map((one): [string, string] => ['so', String(one)]),
    ['fix', inThisShell(pickText(problem, 'fix'))],
  ]
  return {
    text: `${pickText(problem, 'severity')}: ${pickText(problem, 'title')}`,
    facts: facts.filter(([, text]) => text !== ''),
  }
}

/** Whether a stream holds no event: the oldest is then the one that comes next. */
const isEmpty = (stream: unknown) => Number(pick(stream, 'oldest')) > Number(pick(stream, 'head'))
