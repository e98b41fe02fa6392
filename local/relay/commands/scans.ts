import { path } from '../client.ts'
import type { Command } from '../command-line.ts'
import { type Block, factsOf, pick, pickList, showList } from '../format.ts'

const showScan = (body: unknown): Block[] => [
  { facts: factsOf(body, ['targets', 'raw']) },
  {
    title: 'targets',
    rows: pickList(body, 'targets'),
    columns: {
      ip: 'ip',
      hostname: 'hostname',
      state: 'state',
      critical: 'severities.critical',
      high: 'severities.high',
      medium: 'severities.medium',
      low: 'severities.low',
      seconds: 'durationSeconds',
      error: 'error',
    },
  },
]

/** Look-ups of scan histories. */
export const scanCommands: readonly Command[] = [
  {
    usage: 'scans session <id>',
    summary: 'One session of a Defender authenticated scan',
    ask: ({ args: { id = '' } }) => ({ path: path`scan-history/defender/sessions/${id}` }),
    show: showScan,
  },
  {
    usage: 'scans definitions',
    summary: 'The definitions of Defender authenticated scans',
    list: 'definitions',
    ask: () => ({ path: 'scan-history/defender/definitions' }),
    show: showList('definitions', {
      id: 'id',
      name: 'name',
      active: 'isActive',
      type: 'scanType',
      'every hours': 'intervalInHours',
      'last scan': 'latestScan.executedAt',
      state: 'latestScan.state',
      failure: 'latestScan.failureReason',
    }),
  },
  {
    usage: 'scans definition <id>',
    summary: 'One definition with its sessions',
    list: 'sessions',
    ask: ({ args: { id = '' } }) => ({ path: path`scan-history/defender/definitions/${id}` }),
    show: (body) => [
      { facts: factsOf(pick(body, 'definition')) },
      {
        title: 'sessions',
        rows: pickList(body, 'sessions'),
        columns: {
          session: 'run.id',
          state: 'state',
          'last scanned': 'lastScannedAt',
          targets: 'counts.targets',
          succeeded: 'counts.succeeded',
          completeness: 'completeness.kind',
          error: 'errorMessage',
        },
      },
    ],
  },
  {
    usage: 'scans tenable <scan>',
    summary: 'One run of a Tenable scan, the latest by default',
    options: ['run'],
    ask: ({ args: { scan = '' }, options: { run } }) => ({
      path: path`scan-history/tenable/scans/${scan}`,
      query: { run },
    }),
    show: showScan,
  },
  {
    usage: 'scans runs <scan>',
    summary: 'The runs of a Tenable scan, newest first',
    list: 'runs',
    ask: ({ args: { scan = '' } }) => ({ path: path`scan-history/tenable/scans/${scan}/runs` }),
    show: showList('runs', {
      run: 'id',
      number: 'number',
      state: 'state',
      started: 'startedAt',
      ended: 'endedAt',
      archived: 'archived',
    }),
  },
]
