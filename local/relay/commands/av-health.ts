import { path, RelayError } from '../client.ts'
import type { Command, CommandInput } from '../command-line.ts'
import { type Block, factsOf, pick, pickList, pickText, showFacts, showList } from '../format.ts'

const rejectsOf = (file: unknown) => pickList(file, 'rejects').map((reject) => ({ file, reject }))

/** Runs of the antivirus-health export, and their snapshots. */
export const avHealthCommands: readonly Command[] = [
  {
    usage: 'export start',
    summary: 'Starts an antivirus-health export, or joins the running one',
    options: ['method', 'force', 'wait'],
    ask: ({ options: { method, force } }) => ({
      method: 'POST',
      path: 'av-health/exports',
      body: { method, force },
    }),
    waits: ({ wait }) => wait === true,
    show: showFacts,
    isGood,
  },
  {
    usage: 'export list',
    summary: 'Export runs, newest first',
    options: ['state', 'since'],
    list: 'runs',
    ask: ({ options: { state, since } }) => ({
      path: 'av-health/exports',
      query: { state, since },
    }),
    show: showList(
      'runs',
      {
        run: 'runId',
        state: 'state',
        method: 'method',
        started: 'startedAt',
        ended: 'endedAt',
        files: 'counts.listed',
        written: 'counts.written',
        rejected: 'counts.rejected',
        reason: 'reason',
      },
      ['method', 'ended', 'files', 'rejected', 'started', 'written'],
    ),
  },
  {
    usage: 'export show [runId]',
    summary: 'One run, the newest by default, with its files and rejected lines',
    list: 'files',
    ask: async (given) => ({ path: path`av-health/exports/${await runIdOf(given)}` }),
    show: (body): Block[] => [
      { facts: factsOf(body, ['files', 'next']) },
      {
        title: 'files',
        rows: pickList(body, 'files'),
        columns: {
          file: 'number',
          state: 'state',
          attempts: 'attempts',
          bytes: 'bytes',
          written: 'counts.written',
          duplicates: 'counts.duplicates',
          rejected: 'counts.rejected',
          path: 'path',
          reason: 'reason',
        },
        drop: ['bytes', 'duplicates', 'attempts', 'rejected', 'path', 'written'],
      },
      {
        title: 'rejected lines',
        rows: pickList(body, 'files').flatMap(rejectsOf),
        columns: {
          file: 'file.number',
          line: 'reject.line',
          reason: 'reject.reason',
          text: 'reject.text',
        },
      },
    ],
  },
  {
    usage: 'export wait [runId]',
    summary: 'Waits until a run, the newest by default, is over; ends with 1 when it failed',
    ask: async (given) => ({ path: path`av-health/exports/${await runIdOf(given)}/wait` }),
    waits: () => true,
    show: showFacts,
    isGood,
  },
  {
    usage: 'export publish <runId>',
    summary: 'Publishes a run that a guard stopped, within 24 hours',
    options: ['wait'],
    ask: ({ args: { runId = '' } }) => ({
      method: 'POST',
      path: path`av-health/exports/${runId}/publish`,
    }),
    waits: ({ wait }) => wait === true,
    show: showFacts,
    isGood,
  },
  {
    usage: 'snapshots list',
    summary: 'The stored antivirus-health snapshots, newest first',
    list: 'snapshots',
    ask: () => ({ path: 'av-health/snapshots' }),
    show: showList('snapshots', {
      run: 'runId',
      current: 'current',
      devices: 'devices',
      method: 'method',
      generated: 'generatedTime',
      published: 'publishedAt',
      table: 'table',
    }),
  },
]

async function runIdOf({ args: { runId }, ask }: CommandInput): Promise<string> {
  if (runId) return runId
  const { body } = await ask({ path: 'av-health/exports', query: { limit: '1' } })
  const newest = pickText(pickList(body, 'runs')[0], 'runId')
  if (newest) return newest
  throw new RelayError('There is no run yet: "export start" starts one.')
}

/** Success as `npm start -- --once` defines it. */
function isGood(body: unknown): boolean {
  return !['failed', 'empty'].includes(String(pick(body, 'state')))
}
