import { inThisShell } from '../../terminal.ts'
import type { Command } from '../command-line.ts'
import { type Block, factsOf, isRecord, pick, pickEntries, pickList, pickText } from '../format.ts'

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
        { title: 'problems', facts: sections.flatMap(problemsOf) },
        {
          title: 'notices',
          facts: pickList(body, 'notices').map((one) => ['soon', sayProblem(one)]),
        },
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
            lag: 'detectionLagSeconds',
            'last poll': 'lastPoll.endedAt',
            'next poll': 'nextPollAt',
            error: 'lastPoll.error',
          },
        },
        {
          title: 'events',
          rows: pickEntries(body, 'events'),
          columns: {
            stream: 'name',
            oldest: (stream) => (isEmpty(stream) ? 'no events' : pick(stream, 'oldest')),
            newest: (stream) => pick(stream, 'head') || null,
            dispatched: 'dispatched',
            lag: 'lagSeconds',
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

const problemsOf = (section: Record<string, unknown>): [string, string][] =>
  pickList(section, 'problems').map((one) => [String(section.name), sayProblem(one)])

const sayProblem = (problem: unknown) =>
  [pickText(problem, 'title'), inThisShell(pickText(problem, 'fix'))].filter(Boolean).join('. ')

/** Whether a stream holds no event: the oldest is then the one that comes next. */
const isEmpty = (stream: unknown) => Number(pick(stream, 'oldest')) > Number(pick(stream, 'head'))
