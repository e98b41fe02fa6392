import { factsOf } from '../blocks.ts'
import { path } from '../client.ts'
import type { Command } from '../command.ts'
import { pickList } from '../pick.ts'

/** What the exports have left. */
export const snapshotCommands: readonly Command[] = [
  {
    usage: 'snapshots list',
    summary: 'The antivirus-health snapshots that are kept, newest first',
    list: 'snapshots',
    ask: () => ({ path: 'av-health/snapshots' }),
    show: (body) => [
      {
        rows: pickList(body, 'snapshots'),
        columns: {
          run: 'runId',
          current: 'current',
          devices: 'devices',
          method: 'method',
          generated: 'generatedTime',
          published: 'publishedAt',
          table: 'table',
        },
      },
    ],
  },
  {
    usage: 'device <machineId>',
    summary: 'One device as the current snapshot has it',
    ask: ({ args: { machineId = '' } }) => ({ path: path`av-health/devices/${machineId}` }),
    show: (body) => [{ facts: factsOf(body) }],
  },
]
